package jute_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"maps"
	"reflect"
	"slices"
	"testing"

	"zoolab/zk/jute"
)

// kindNames lists kinds in a fixed order, so that a number chooses one.
var kindNames = slices.Sorted(maps.Keys(kinds))

// FuzzRecords gives every decoder arbitrary bytes. None may panic or hold more
// memory than the bytes warrant, and what was decoded must survive another round.
func FuzzRecords(f *testing.F) {
	seeded := map[string]bool{}
	for _, s := range collect(f).samples {
		key := s.kind + string(s.bytes)
		if seeded[key] {
			continue
		}
		seeded[key] = true
		f.Add(uint8(slices.Index(kindNames, s.kind)), s.bytes)
	}
	for i, kind := range kindNames {
		f.Add(uint8(i), jute.Marshal(kinds[kind]()))
	}
	f.Fuzz(func(t *testing.T, index uint8, data []byte) {
		kind := kindNames[int(index)%len(kindNames)]
		first := kinds[kind]()
		err := jute.Unmarshal(data, first)
		// The dearest wire byte is that of a vector's empty items.
		const perByte, fixed = 64, 4 << 10
		if held := heldBytes(reflect.ValueOf(first)); held > perByte*len(data)+fixed {
			t.Fatalf("%s: %d bytes decoded to %d bytes of memory", kind, len(data), held)
		}
		if err != nil {
			if !errors.Is(err, jute.ErrMalformed) {
				t.Fatalf("%s: %v does not wrap ErrMalformed", kind, err)
			}
			return
		}
		// Null strings may come back as empty ones: the first encoding settles the form.
		encoded := jute.Marshal(first)
		second := kinds[kind]()
		if err := jute.Unmarshal(encoded, second); err != nil {
			t.Fatalf("%s: its own encoding %x: %v", kind, encoded, err)
		}
		if again := jute.Marshal(second); !bytes.Equal(again, encoded) {
			t.Fatalf("%s: %x became %x", kind, encoded, again)
		}
	})
}

// FuzzQuorumStream compares the stream reader of the quorum port with the
// decoder of a packet: they must accept the same bytes.
func FuzzQuorumStream(f *testing.F) {
	for _, s := range collect(f).samples {
		if s.kind == "QuorumPacket" {
			f.Add(s.bytes)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		const maxSizeBytes = 1 << 16
		if len(data) > maxSizeBytes {
			return
		}
		reader := jute.NewReader(bufio.NewReader(bytes.NewReader(data)), maxSizeBytes)
		got, err := reader.QuorumPacket()
		d := jute.NewDecoder(data)
		var want jute.QuorumPacket
		want.Decode(d)
		if (err == nil) != (d.Err() == nil) {
			// The stream's bound on ids may refuse what the decoder takes.
			if len(want.Authinfo) > 1024 && errors.Is(err, jute.ErrMalformed) {
				return
			}
			t.Fatalf("the stream gives %v, the decoder %v", err, d.Err())
		}
		if err != nil {
			if !errors.Is(err, jute.ErrMalformed) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("unexpected kind of error: %v", err)
			}
			return
		}
		if !bytes.Equal(jute.Marshal(&got), jute.Marshal(&want)) {
			t.Fatalf("the stream gives %+v, the decoder %+v", got, want)
		}
	})
}

// heldBytes sums what the slices and strings below v hold, by capacity.
// Buffers share the input's memory; they are counted all the same.
func heldBytes(v reflect.Value) int {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return 0
		}
		return int(v.Elem().Type().Size()) + heldBytes(v.Elem())
	case reflect.Struct:
		sum := 0
		for i := range v.NumField() {
			sum += heldBytes(v.Field(i))
		}
		return sum
	case reflect.Slice:
		sum := v.Cap() * int(v.Type().Elem().Size())
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return sum
		}
		for i := range v.Len() {
			sum += heldBytes(v.Index(i))
		}
		return sum
	case reflect.String:
		return v.Len()
	}
	return 0
}
