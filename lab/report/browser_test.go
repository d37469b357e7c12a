package report

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"zoolab/workloads"
)

// browserPath finds a Chromium, or skips the test and says what to install.
func browserPath(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("no Chromium found: install one (Debian: apt-get install chromium) to test the report in a browser")
	return ""
}

// patience is how long a test waits for the browser, which on a busy machine takes many
// seconds to start and to draw.
const patience = 2 * time.Minute

// tab is a browser tab that remembers what the page complained about.
type tab struct {
	ctx        context.Context
	mu         sync.Mutex
	complaints []string
}

func newTab(t *testing.T) *tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(browserPath(t)), chromedp.NoSandbox, chromedp.WindowSize(1400, 1000), chromedp.WSURLReadTimeout(patience))
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(closeTab)
	// The browser's life hangs on the first Do, so that one must not carry
	// the test's deadline.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start the browser: %v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	t.Cleanup(cancel)
	b := &tab{ctx: ctx}
	messages := chromedp.Console(ctx)
	go func() {
		for message, err := range messages {
			if err != nil {
				return
			}
			switch message.Type {
			case chromedp.ConsoleException, chromedp.ConsoleError, chromedp.ConsoleWarning:
				b.mu.Lock()
				b.complaints = append(b.complaints, message.Text)
				b.mu.Unlock()
			}
		}
	}()
	return b
}

func (b *tab) do(t *testing.T, what string, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		t.Fatalf("%s: %v; the page complained: %q", what, err, b.complained())
	}
}

// evaluate gives the value of a script expression.
func evaluate[T any](t *testing.T, b *tab, expression string) T {
	t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: %v; the page complained: %q", expression, err, b.complained())
	}
	return value
}

// text gives the value of a script expression as text.
func (b *tab) text(t *testing.T, expression string) string {
	t.Helper()
	return evaluate[string](t, b, "String("+expression+")")
}

// waitFor waits until a script expression is true.
func (b *tab) waitFor(t *testing.T, expression string) {
	t.Helper()
	var err error
	// A poll that began on the page before ends with it: then it is the new page's turn.
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		_, err = chromedp.Run(b.ctx, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(patience)))
		if err == nil || b.ctx.Err() != nil {
			break
		}
		if text := err.Error(); !strings.Contains(text, "context") && !strings.Contains(text, "navigated") {
			break
		}
	}
	if err != nil {
		t.Fatalf("wait for %s: %v; the page complained: %q", expression, err, b.complained())
	}
}

// becomes waits until a script expression has a value: the page follows its window when it draws
// the next time.
func (b *tab) becomes(t *testing.T, what, expression, want string) {
	t.Helper()
	got := b.text(t, expression)
	for deadline := time.Now().Add(patience); got != want; got = b.text(t, expression) {
		if time.Now().After(deadline) {
			t.Errorf("%s: %s, want %s", what, got, want)
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// drawn waits until the page has drawn what it was told so far.
func (b *tab) drawn(t *testing.T) {
	t.Helper()
	b.text(t, "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
}

func (b *tab) complained() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.complaints...)
}

func (b *tab) checkQuiet(t *testing.T) {
	t.Helper()
	for _, complaint := range b.complained() {
		t.Errorf("the page complained: %s", complaint)
	}
}

// writeReport puts a report into a file and gives its URL.
func writeReport(t *testing.T, in Input) (url string, sizeBytes int) {
	t.Helper()
	var b strings.Builder
	if err := Write(&b, in); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return "file://" + path, b.Len()
}

// press focuses an element and types into it. Elements are found by the
// page's own querySelector; the driver's queries would first copy the whole
// document, with all its operations.
func (b *tab) press(t *testing.T, selector, keys string) {
	t.Helper()
	b.text(t, fmt.Sprintf("document.querySelector(%q).focus({preventScroll: true})", selector))
	b.do(t, "press "+keys, chromedp.KeyEvent(keys))
}

func (b *tab) click(t *testing.T, selector string) {
	t.Helper()
	b.text(t, fmt.Sprintf("document.querySelector(%q).click()", selector))
}

const isReady = `document.documentElement.dataset.ready !== undefined`

const lanesFrom = `document.getElementById('lanes').dataset.from`
const lanesTo = `document.getElementById('lanes').dataset.to`
const lanesShown = `document.getElementById('lanes').dataset.shown`

func TestBrowserZoomFilterAndLink(t *testing.T) {
	for _, failing := range []bool{false, true} {
		t.Run(fmt.Sprintf("failing=%v", failing), func(t *testing.T) {
			b := newTab(t)
			url, _ := writeReport(t, synthInput(6000, 60, failing))
			b.do(t, "open", chromedp.Navigate(url))
			b.waitFor(t, isReady)

			all := b.text(t, lanesShown)
			b.press(t, "#lanes", "+")
			b.waitFor(t, fmt.Sprintf("Number(%s) > 0", lanesFrom))
			b.dragAcross(t, "canvas[data-lane=points]", 0.25, 0.5)
			b.waitFor(t, fmt.Sprintf("%s - %s < 9e6", lanesTo, lanesFrom))

			narrow := evaluate[float64](t, b, "Number("+lanesTo+") - Number("+lanesFrom+")")
			b.text(t, `document.querySelector('canvas[data-lane=axis]').dispatchEvent(new WheelEvent('wheel', {deltaY: -100, clientX: 700, bubbles: true, cancelable: true}))`)
			b.waitFor(t, fmt.Sprintf("%s - %s < %f", lanesTo, lanesFrom, narrow*0.9))

			b.press(t, "#f-process", "3")
			b.press(t, "#f-f", "w") // write; a word that is typed slowly is a choice for each letter
			b.waitFor(t, fmt.Sprintf("Number(%s) > 0 && Number(%s) < %s / 10", lanesShown, lanesShown, all))
			b.press(t, "#lanes", "n")
			b.waitFor(t, `!document.getElementById('pin').hidden`)
			b.waitFor(t, `location.hash.includes('op=') && location.hash.includes('p=3') && location.hash.includes('f=write')`)

			state := "[" + lanesFrom + "," + lanesTo + "," + lanesShown + `,document.getElementById('pin').dataset.index,document.getElementById('f-f').value]`
			b.drawn(t)
			before, link := b.text(t, state), b.text(t, "location.href")
			b.do(t, "leave", chromedp.Navigate("about:blank"))
			b.do(t, "follow the link", chromedp.Navigate(link))
			b.waitFor(t, isReady)
			if after := roundState(b.text(t, state)); after != roundState(before) {
				t.Errorf("state after following the link = %s, want %s", after, roundState(before))
			}
			b.press(t, "#lanes", "0")
			b.click(t, "#f-clear")
			b.waitFor(t, fmt.Sprintf("%s === '0' && %s === '%s'", lanesFrom, lanesShown, all))
			b.press(t, "#lanes", "+")
			b.waitFor(t, fmt.Sprintf("Number(%s) > 0", lanesFrom))
			b.text(t, `document.querySelector('canvas[data-lane=rate]').dispatchEvent(new MouseEvent('dblclick', {bubbles: true}))`)
			b.waitFor(t, lanesFrom+" === '0'")
			if failing {
				b.click(t, "tr.illegal a[data-op]")
				b.waitFor(t, `document.getElementById('pin-title').textContent === 'read → 4'`)
			}
			b.checkQuiet(t)
		})
	}
}

// roundState drops the fractions of microseconds, which the link doesn't keep.
func roundState(state string) string {
	parts := strings.Split(state, ",")
	for i := range parts {
		var number float64
		if _, err := fmt.Sscanf(parts[i], "%g", &number); err == nil {
			parts[i] = fmt.Sprintf("%.0f", number)
		}
	}
	return strings.Join(parts, ",")
}

// dragAcross drags over an element, from and to given as shares of its width.
func (b *tab) dragAcross(t *testing.T, selector string, from, to float64) {
	t.Helper()
	box := evaluate[[]float64](t, b, fmt.Sprintf(`(() => {
		const e = document.querySelector(%q);
		e.scrollIntoView({behavior: 'instant', block: 'center'});
		const r = e.getBoundingClientRect();
		return [r.left, r.top, r.width, r.height];
	})()`, selector))
	y := box[1] + box[3]/2
	b.do(t, "drag", chromedp.DragAndDropXY(box[0]+from*box[2], y, box[0]+to*box[2], y, 4))
}

// TestBrowserHoverAndClick zooms to the impossible read, looks for it with the
// mouse among the bars, and clicks it.
func TestBrowserHoverAndClick(t *testing.T) {
	b := newTab(t)
	url, _ := writeReport(t, synthInput(6000, 60, true))
	b.do(t, "open", chromedp.Navigate(url))
	b.waitFor(t, isReady)
	b.click(t, "tr.illegal a[data-op]")
	b.waitFor(t, fmt.Sprintf("%s - %s < 1e6", lanesTo, lanesFrom))
	want := b.text(t, "document.getElementById('pin').dataset.index")
	b.click(t, "#pin-close")
	b.waitFor(t, "document.getElementById('pin').hidden")
	box := evaluate[[]float64](t, b, `(() => {
		const e = document.querySelector('canvas[data-lane=processes]');
		e.scrollIntoView({behavior: 'instant', block: 'center'});
		const r = e.getBoundingClientRect();
		return [r.left + 64 + (r.width - 74) / 2, r.top, r.height];
	})()`)
	b.drawn(t)
	for y := box[1] + 9; y < box[1]+box[2]; y += 18 {
		b.do(t, "hover", chromedp.MouseEvent("mouseMoved", box[0], y))
		if tip := b.text(t, "document.getElementById('tip').hidden ? '' : document.getElementById('tip').textContent"); !strings.Contains(tip, "read → 4") {
			continue
		} else if !strings.Contains(tip, "r-stale") || !strings.Contains(tip, "0x50000002f") {
			t.Errorf("the tooltip lacks key or zxid: %s", tip)
		}
		b.do(t, "click", chromedp.MouseClickXY(box[0], y))
		b.waitFor(t, "!document.getElementById('pin').hidden")
		if got := b.text(t, "document.getElementById('pin').dataset.index"); got != want {
			t.Errorf("the click pinned operation %s, want %s", got, want)
		}
		b.checkQuiet(t)
		return
	}
	t.Error("the impossible read was not found under the mouse")
}

// TestBrowserOddInputs opens strange runs, also one whose every text tries to
// become a script.
func TestBrowserOddInputs(t *testing.T) {
	b := newTab(t)
	for name, in := range oddInputs() {
		url, _ := writeReport(t, in)
		b.do(t, name, chromedp.Navigate(url))
		b.waitFor(t, isReady)
		if title := b.text(t, "document.title"); title == "owned" {
			t.Errorf("%s: a text of the run was executed", name)
		}
		b.text(t, "document.querySelectorAll('details').forEach((d) => { d.open = true; })")
		b.text(t, "new Promise((done) => setTimeout(done, 100))")
		for _, complaint := range b.complained() {
			t.Fatalf("%s: the page complained: %s", name, complaint)
		}
	}
}

func TestBrowserHundredThousandOperations(t *testing.T) {
	b := newTab(t)
	in := synthInput(125_000, 240, true)
	begin := time.Now()
	url, sizeBytes := writeReport(t, in)
	wrote := time.Since(begin)
	if sizeBytes >= 5<<20 {
		t.Errorf("report of %d history entries has %d bytes, want below 5 MiB", len(in.History), sizeBytes)
	}
	b.do(t, "open", chromedp.Navigate(url))
	b.waitFor(t, isReady)
	readyMs := evaluate[float64](t, b, `Number(document.documentElement.dataset.ready)`)
	stepMs := evaluate[float64](t, b, `new Promise((done) => {
		const lanes = document.getElementById('lanes');
		lanes.scrollIntoView({behavior: 'instant'});
		const begin = performance.now();
		let left = 10;
		const next = () => {
			if (left-- === 0) { done((performance.now() - begin) / 10); return; }
			lanes.dispatchEvent(new KeyboardEvent('keydown', {key: left % 2 ? '+' : '-'}));
			requestAnimationFrame(() => requestAnimationFrame(next));
		};
		next();
	})`)
	if shown := b.text(t, lanesShown); len(shown) != 6 {
		t.Errorf("operations shown = %s, want 100 000 and more", shown)
	}
	t.Logf("%d history entries: %.2f MB, written in %v; interactive after %.0f ms, %.0f ms for a zoom step",
		len(in.History), float64(sizeBytes)/1e6, wrote.Round(time.Millisecond), readyMs, stepMs)
	if readyMs > 60_000 { // it needs less than one second, on a machine that has nothing else to do
		t.Errorf("interactive after %.0f ms, want below a minute even on a busy machine", readyMs)
	}
	b.checkQuiet(t)
}

// TestBrowserSampledRun follows links to operations that the timeline of a long run left
// out, and looks for what only they have.
func TestBrowserSampledRun(t *testing.T) {
	in := Input{Name: "long", Verdict: workloads.VerdictOK}
	for i := range maxTimelineOps + 1000 {
		at := int64(i) * msNs / 10
		op := workloads.Op{Index: 2 * i, TimeNs: at, Type: workloads.Invoke, F: "read", Key: "k", Process: i % 10, Version: -1}
		done := op
		done.Index, done.TimeNs, done.Type, done.Zxid, done.Value = 2*i+1, at+50_000, workloads.OK, int64(i+1), int64(i)
		in.History = append(in.History, op, done)
	}
	r := newRun(in)
	carried := make(map[int]bool)
	for _, op := range sampleOf(r, nil).ops {
		carried[op.index] = true
	}
	left := len(r.ops) / 2
	for carried[r.ops[left].index] {
		left++
	}
	b := newTab(t)
	op := &r.ops[left]
	const told = `document.getElementById('missing').hidden ? '' : document.getElementById('missing').textContent`
	url, sizeBytes := writeReport(t, in)
	b.do(t, "follow a link", chromedp.Navigate(fmt.Sprintf("%s#op=%d", url, op.index)))
	b.waitFor(t, isReady)
	if text := b.text(t, told); !strings.Contains(text, fmt.Sprintf("Operation %d is not in the timeline", op.index)) || !strings.Contains(text, "history.jsonl") {
		t.Errorf("the page says %q of an operation that was left out", text)
	}
	if from, to := evaluate[float64](t, b, "Number("+lanesFrom+")"), evaluate[float64](t, b, "Number("+lanesTo+")"); float64(op.startNs/1000) < from-1e5 || float64(op.startNs/1000) > to+1e5 {
		t.Errorf("the page shows %.0f to %.0f µs, the operation began at %d µs", from, to, op.startNs/1000)
	}
	b.text(t, fmt.Sprintf(`(() => { const z = document.getElementById('f-zxid'); z.value = '0x%x'; z.dispatchEvent(new Event('input')); })()`, op.zxid))
	b.waitFor(t, fmt.Sprintf("(%s).startsWith('None of the operations')", told))
	b.click(t, "#f-clear")
	b.waitFor(t, fmt.Sprintf("(%s) === '' && document.getElementById('f-count').textContent.includes('shown of')", told))
	t.Logf("%d operations: %.2f MB, interactive after %s ms", len(r.ops), float64(sizeBytes)/1e6, b.text(t, "document.documentElement.dataset.ready"))
	b.checkQuiet(t)
}
