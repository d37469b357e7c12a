#!/usr/bin/env bash
# Made the stores of this directory, with the keytool of Java 17 and openssl 3.0. They
# outlive a century, so there is no need to run it again but for another kind of store.
set -eu
cd "$(dirname "$0")"
rm -f -- *.jks *.p12 *.pem
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
common=(-validity 36500 -storepass secret6)
ec=(-keyalg EC -groupname secp256r1)
hosts=(-ext san=dns:localhost,ip:127.0.0.1)

keytool -genkeypair -alias ca "${ec[@]}" -dname "CN=Test CA,O=Zoolab" -ext bc:c -keystore "$work/ca.p12" "${common[@]}"
keytool -exportcert -rfc -alias ca -keystore "$work/ca.p12" -storepass secret6 >ca.pem
for who in client server; do
	keytool -genkeypair -alias $who "${ec[@]}" -dname "CN=$who,OU=R\\+D,O=\"Example, Inc.\",C=DE" "${hosts[@]}" \
		-keystore $who.jks -storetype JKS -keypass secret6 "${common[@]}"
	keytool -certreq -alias $who -keystore $who.jks -storepass secret6 |
		keytool -gencert -alias ca -keystore "$work/ca.p12" "${hosts[@]}" -rfc "${common[@]}" >"$work/$who.crt"
	cat "$work/$who.crt" ca.pem >"$work/chain.pem"
	keytool -importcert -noprompt -alias ca -file ca.pem -keystore $who.jks -storepass secret6
	keytool -importcert -noprompt -alias $who -file "$work/chain.pem" -keystore $who.jks -storepass secret6
	keytool -delete -alias ca -keystore $who.jks -storepass secret6
	keytool -importkeystore -srckeystore $who.jks -srcstorepass secret6 -destkeystore $who.p12 -deststoretype PKCS12 -deststorepass secret6
	openssl pkcs12 -in $who.p12 -passin pass:secret6 -nodes | sed -n '/BEGIN/,/END/p' >$who.pem
done
keytool -importcert -noprompt -alias ca -file ca.pem -keystore trust.jks -storetype JKS -storepass secret6
keytool -importcert -noprompt -alias ca -file ca.pem -keystore trust.p12 -storetype PKCS12 -storepass secret6

# The key's password is not the store's.
keytool -genkeypair -alias two "${ec[@]}" -dname CN=two -keystore two.jks -storetype JKS -keypass another "${common[@]}"
# A key and a trusted certificate in one store.
for type in jks p12; do
	cp server.$type both.$type
	keytool -importcert -noprompt -alias zca -file ca.pem -keystore both.$type -storepass secret6
done
# Certificates without Java's mark.
openssl pkcs12 -export -nokeys -in ca.pem -passout pass:secret6 -out unmarked.p12
# Keys in the forms of openssl.
openssl pkcs8 -topk8 -in server.pem -passout pass:secret6 -v2 aes-256-cbc | cat - "$work/chain.pem" >encrypted.pem
openssl pkcs8 -topk8 -in server.pem -passout pass:secret6 -v1 PBE-SHA1-3DES | cat - "$work/chain.pem" >encrypted-old.pem
openssl ec -in server.pem | cat - "$work/chain.pem" >ec.pem
keytool -genkeypair -alias dsa -keyalg DSA -dname CN=dsa -keystore dsa.jks -storetype JKS -keypass secret6 "${common[@]}"
keytool -genkeypair -alias rsa -keyalg RSA -keysize 2048 -dname CN=rsa -keystore rsa.p12 -storetype PKCS12 "${common[@]}"
for alias in one two; do
	keytool -genkeypair -alias $alias "${ec[@]}" -dname CN=$alias -keystore several.p12 -storetype PKCS12 "${common[@]}"
done
