package report

import "testing"

// TestBoldLabelsFit asks that what is impossible, which is written in bold, is not cut off at
// the right edge of a picture.
func TestBoldLabelsFit(t *testing.T) {
	for _, test := range []struct{ class, anchor string }{{"ok", "start"}, {"impossible", "end"}} {
		row := []pictureBar{{X: pictureWidth - 70, Width: minBarWidth, Label: "read → 107", Class: test.class}}
		placeLabels(row)
		if row[0].Label == "" || row[0].Anchor != test.anchor {
			t.Errorf("%s: the label %q is anchored at its %s, want %s", test.class, row[0].Label, row[0].Anchor, test.anchor)
		}
	}
}
