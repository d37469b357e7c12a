import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.util.HexFormat;
import javax.security.auth.x500.X500Principal;

/** Prints, for each line with a DER encoded name in hexadecimal, what getName() makes of it. */
class Names {
    public static void main(String[] args) throws Exception {
        PrintStream out = new PrintStream(System.out, true, "UTF-8");
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            try {
                out.println(HexFormat.of().formatHex(
                    new X500Principal(HexFormat.of().parseHex(line)).getName().getBytes("UTF-8")));
            } catch (IllegalArgumentException e) {
                out.println("invalid");
            }
        }
    }
}
