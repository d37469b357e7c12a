package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
)

// splitter cuts the frames out of a connection's two byte streams. It knows
// only lengths, not records, so that the transcripts do not depend on the
// codec that they test.
type splitter interface {
	// split gives the length of the next frame at the head of the stream and the
	// number of bytes of it that are a length prefix; ok is false while more
	// bytes are needed. Raw says that the frame is a snapshot stream.
	split(fromDialer bool, stream []byte) (prefix, length int, raw, ok bool)
}

// prefixed is the client port: an int of length before each frame. A
// four-letter word never passes through the proxies.
type prefixed struct{}

func (prefixed) split(_ bool, stream []byte) (prefix, length int, raw, ok bool) {
	if len(stream) < 4 {
		return 0, 0, false, false
	}
	length = 4 + int(binary.BigEndian.Uint32(stream))
	return 4, length, false, len(stream) >= length
}

// election is the election port: the dialler's first message has no prefix.
type election struct{ greeted bool }

func (e *election) split(fromDialer bool, stream []byte) (prefix, length int, raw, ok bool) {
	if !fromDialer || e.greeted {
		return prefixed{}.split(fromDialer, stream)
	}
	const fixed = 8 + 8 + 4
	if len(stream) < fixed {
		return 0, 0, false, false
	}
	length = fixed + int(binary.BigEndian.Uint32(stream[fixed-4:]))
	e.greeted = len(stream) >= length
	return 0, length, false, e.greeted
}

// snapshotEnd is what a leader writes behind the tree it sends.
var snapshotEnd = []byte("\x00\x00\x00\x0aBenWasHere")

// quorum is the quorum port: packets without a prefix, and a tree behind SNAP.
type quorum struct{ inSnapshot bool }

func (q *quorum) split(fromDialer bool, stream []byte) (prefix, length int, raw, ok bool) {
	if q.inSnapshot && !fromDialer {
		at := bytes.Index(stream, snapshotEnd)
		if at < 0 {
			return 0, 0, true, false
		}
		q.inSnapshot = false
		return 0, at + len(snapshotEnd), true, true
	}
	length, ok = packetLength(stream)
	const packetSnap = 15
	if ok && !fromDialer && binary.BigEndian.Uint32(stream) == packetSnap {
		q.inSnapshot = true
	}
	return 0, length, false, ok
}

// packetLength walks type, zxid, data and authinfo.
func packetLength(stream []byte) (int, bool) {
	at := 4 + 8
	skip := func() bool {
		if len(stream) < at+4 {
			return false
		}
		at += 4 + max(0, int(int32(binary.BigEndian.Uint32(stream[at:]))))
		return len(stream) >= at
	}
	if !skip() || len(stream) < at+4 {
		return 0, false
	}
	ids := int(int32(binary.BigEndian.Uint32(stream[at:])))
	at += 4
	for range 2 * max(0, ids) {
		if !skip() {
			return 0, false
		}
	}
	return at, true
}

// transcript writes recordings as text: a line "connection NAME", then a line
// per frame, "> HEX" from the dialler and "< HEX" to it, in their order. A
// snapshot stream is "<< HEX". Length prefixes are left out.
type transcript struct {
	text   strings.Builder
	frames int
}

func newTranscript(comments ...string) *transcript {
	t := new(transcript)
	for _, comment := range comments {
		fmt.Fprintf(&t.text, "# %s\n", comment)
	}
	return t
}

func (t *transcript) add(recordings []*recording) {
	for _, r := range recordings {
		r.mu.Lock()
		lines := frameLines(r.chunks, r.splitter())
		r.mu.Unlock()
		if len(lines) == 0 {
			continue
		}
		fmt.Fprintf(&t.text, "connection %s\n", r.name)
		for _, line := range lines {
			t.text.WriteString(line)
		}
		t.frames += len(lines)
	}
}

// frameLines cuts the chunks into frames. What is left at the end, a frame that
// a cut connection did not complete, is dropped.
func frameLines(chunks []chunk, split splitter) []string {
	var lines []string
	var streams [2][]byte
	for _, c := range chunks {
		side, mark := 0, "<"
		if c.fromDialer {
			side, mark = 1, ">"
		}
		streams[side] = append(streams[side], c.data...)
		for {
			prefix, length, raw, ok := split.split(c.fromDialer, streams[side])
			if !ok {
				break
			}
			frame := streams[side][prefix:length]
			if raw {
				lines = append(lines, fmt.Sprintf("<< %s\n", hex.EncodeToString(frame)))
			} else {
				lines = append(lines, fmt.Sprintf("%s %s\n", mark, hex.EncodeToString(frame)))
			}
			streams[side] = streams[side][length:]
		}
	}
	return dropRepeats(lines)
}

// dropRepeats keeps the first two of frames that come again and again (pings of
// an idle connection, votes that did not change).
func dropRepeats(lines []string) []string {
	const keep = 2
	seen := make(map[string]int)
	kept := lines[:0]
	for _, line := range lines {
		seen[line]++
		if seen[line] <= keep {
			kept = append(kept, line)
		}
	}
	return kept
}

func (t *transcript) save(path string) error {
	if t.frames == 0 {
		return fmt.Errorf("nothing was captured for %s", path)
	}
	return os.WriteFile(path, []byte(t.text.String()), 0o644)
}
