package jute

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
)

// fill gives every field of a record a value that differs from its zero.
func fill(v reflect.Value, n *int64) {
	*n++
	switch v.Kind() {
	case reflect.Int32, reflect.Int64:
		v.SetInt(*n)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("s" + string(rune('a'+*n%26)))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.Uint8:
		v.SetUint(uint64(*n % 256))
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	}
}

func TestEveryRecordSurvivesTheWire(t *testing.T) {
	if len(Records) != 72 {
		t.Fatalf("%d records, ZooKeeper 3.8 has 72", len(Records))
	}
	for name, make := range Records {
		in := make()
		var n int64
		fill(reflect.ValueOf(in).Elem(), &n)
		b := Marshal(in)
		out := make()
		if err := Unmarshal(b, out); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(in, out) {
			t.Errorf("%s: got %+v, sent %+v", name, out, in)
		}
		for cut := range len(b) {
			if err := Unmarshal(b[:cut], make()); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: %d of %d bytes accepted: %v", name, cut, len(b), err)
			}
		}
	}
}

func TestNullAndEmptyStayApart(t *testing.T) {
	for _, data := range [][]byte{nil, {}, {7}} {
		in := SetDataRequest{Path: "/a", Data: data}
		var out SetDataRequest
		if err := Unmarshal(Marshal(&in), &out); err != nil || (out.Data == nil) != (data == nil) || !bytes.Equal(out.Data, data) {
			t.Errorf("data %v came back as %v (%v)", data, out.Data, err)
		}
	}
	packet := QuorumPacket{Type: PacketPing}
	if b := Marshal(&packet); !bytes.HasSuffix(b, []byte{255, 255, 255, 255}) {
		t.Errorf("null authinfo went out as %x", b)
	}
}

func TestLengthsAreNotBelieved(t *testing.T) {
	for name, b := range map[string][]byte{
		"vector of 2^31-1": {0x7f, 0xff, 0xff, 0xff},
		"vector of -2":     {0xff, 0xff, 0xff, 0xfe},
	} {
		if err := Unmarshal(b, new(GetChildrenResponse)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
