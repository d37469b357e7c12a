package report

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// pageURL writes a page into a file and gives its URL.
func pageURL(t *testing.T, write func(*strings.Builder) error) string {
	t.Helper()
	var page strings.Builder
	if err := write(&page); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(path, []byte(page.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return "file://" + path
}

// overflow is how many pixels the page is wider than its window.
const overflow = `document.documentElement.scrollWidth - document.documentElement.clientWidth`

// TestBrowserThemesAndSizes looks at every page in both themes and as wide as a
// phone: nothing may complain, nothing may stand outside of the window.
func TestBrowserThemesAndSizes(t *testing.T) {
	b := newTab(t)
	sessions := watchStory()
	sessions.Shrunk = &Shrunk{Cause: "it is lost", Command: "go run ./lab replay", Schedule: "seed: 1", History: sessions.History, Results: sessions.Results}
	report, _ := writeReport(t, synthInput(2000, 20, true))
	story, _ := writeReport(t, sessions)
	cycle, _ := writeReport(t, appendStory())
	pages := map[string]string{
		"report": report, "watches and sessions": story, "cycle": cycle,
		"index":   pageURL(t, func(page *strings.Builder) error { return WriteIndex(page, synthIndex()) }),
		"compare": pageURL(t, func(page *strings.Builder) error { return Compare(synthInput(500, 9, false), sessions).Write(page) }),
	}
	const paper = `getComputedStyle(document.body).backgroundColor`
	for name, url := range pages {
		b.do(t, name, chromedp.EmulateViewport(1300, 900), chromedp.Navigate(url))
		b.waitFor(t, isReady)
		before := b.text(t, paper)
		b.click(t, "#theme")
		b.waitFor(t, fmt.Sprintf("%s !== %q", paper, before))
		b.click(t, "#theme")
		b.waitFor(t, fmt.Sprintf("%s === %q", paper, before))
		b.do(t, "phone", chromedp.EmulateViewport(390, 800))
		b.waitFor(t, "innerWidth === 390")
		b.becomes(t, name+": pixels by which the page is wider than a phone", overflow, "0")
	}
	b.checkQuiet(t)
}

// TestBrowserSessionsWatchesAndLogs finds the lanes that show more than operations,
// filters by a session that is clicked, and goes from a tick to the line of a log.
func TestBrowserSessionsWatchesAndLogs(t *testing.T) {
	b := newTab(t)
	in := watchStory()
	in.NodeLogs = []NodeLog{{Member: "n1", Lines: []LogLine{{TimeNs: 20 * msNs, HasTime: true, Text: "level=ERROR msg=boom"}, {Text: "no time"}}}}
	url, _ := writeReport(t, in)
	b.do(t, "open", chromedp.Navigate(url))
	b.waitFor(t, isReady)
	if notes := b.text(t, `document.getElementById('sessions-note').textContent + '|' + document.getElementById('watches-note').textContent`); notes != "2 sessions|3 watches" {
		t.Errorf("the lanes show %q, want 2 sessions and 3 watches", notes)
	}
	b.clickIn(t, "canvas[data-lane=sessions]", 0.5, 8)
	b.waitFor(t, `document.getElementById('f-session').value.startsWith('0x10000000') && location.hash.includes('s=0x10000000')`)
	b.waitFor(t, fmt.Sprintf("Number(%s) < %d", lanesShown, len(in.History)/2))
	b.click(t, "#f-clear")

	// The line stands at 20 ms of the whole time shown.
	share := evaluate[float64](t, b, `(() => {
		const box = document.querySelector('canvas[data-lane=logs]').getBoundingClientRect(), to = Number(document.getElementById('lanes').dataset.to);
		return (64 + 20000 / to * (box.width - 74)) / box.width;
	})()`)
	b.clickIn(t, "canvas[data-lane=logs]", share, 7)
	b.waitFor(t, `document.querySelector('.log li.chosen').textContent.includes('boom') && document.querySelector('details.log').open`)
	b.click(t, ".log button.at")
	b.waitFor(t, fmt.Sprintf("Number(%s) > 0 || Number(%s) > 0", lanesFrom, lanesTo))

	b.do(t, "press /", chromedp.KeyEvent("/"))
	b.waitFor(t, `document.activeElement.id === 'f-key'`)
	b.checkQuiet(t)
}

// clickIn clicks at a share of an element's width, so many pixels below its top.
func (b *tab) clickIn(t *testing.T, selector string, share, below float64) {
	t.Helper()
	box := evaluate[[]float64](t, b, fmt.Sprintf(`(() => {
		const e = document.querySelector(%q);
		e.scrollIntoView({behavior: 'instant', block: 'center'});
		const r = e.getBoundingClientRect();
		return [r.left, r.top, r.width];
	})()`, selector))
	b.do(t, "click", chromedp.MouseClickXY(box[0]+share*box[2], box[1]+below))
}

// TestBrowserRuns filters the page of all runs, follows its link, and chooses two
// runs to compare.
func TestBrowserRuns(t *testing.T) {
	b := newTab(t)
	in := synthIndex()
	in.Served = true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		write := func() error { return WriteIndex(w, in) }
		if request.URL.Path == "/compare" {
			a, b := synthInput(300, 5, false), synthInput(300, 5, true)
			a.Title, b.Title = request.FormValue("a"), request.FormValue("b")
			write = func() error { return Compare(a, b).Write(w) }
		}
		if err := write(); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	shown := `[...document.querySelectorAll('table.runs tbody tr')].filter((row) => !row.hidden).length`
	b.do(t, "open", chromedp.Navigate(server.URL))
	b.waitFor(t, isReady+" && "+shown+fmt.Sprintf(" === %d", len(in.Runs)))
	b.click(t, `button.cell[data-workload=register][data-fault=partition]`)
	b.waitFor(t, shown+" === 1 && location.hash === '#workload=register&fault=partition'")
	b.click(t, "#r-clear")
	b.do(t, "press /", chromedp.KeyEvent("/"))
	b.waitFor(t, `document.activeElement.id === 'r-text'`)
	b.text(t, `document.getElementById('r-text').value = ''`) // the driver types / even though the page has taken it
	b.do(t, "type", chromedp.KeyEvent("r-stale"))
	b.waitFor(t, shown+" === 1 && location.hash === '#q=r-stale'")
	link := b.text(t, "location.href")
	b.do(t, "leave", chromedp.Navigate("about:blank"))
	b.do(t, "follow the link", chromedp.Navigate(link))
	b.waitFor(t, isReady+" && "+shown+" === 1")
	b.click(t, "#r-clear")
	b.waitFor(t, "document.getElementById('r-compare').disabled")
	b.click(t, "tbody tr:nth-child(1) .choose")
	b.click(t, "tbody tr:nth-child(2) .choose")
	b.waitFor(t, "!document.getElementById('r-compare').disabled")
	b.click(t, "#r-compare")
	b.waitFor(t, fmt.Sprintf("document.title === %q", in.Runs[1].ID+" and "+in.Runs[0].ID)) // the older one first
	b.checkQuiet(t)
}

// TestBrowserPaper prints a failing report, chosen to be dark, and looks at what a sheet
// of A4 shows: light, nothing beyond its edge, no table row as tall as a page.
func TestBrowserPaper(t *testing.T) {
	b := newTab(t)
	in := synthInput(3000, 40, true)
	in.Faults[0].Detail = strings.Repeat("effective: n1 running, answers: true; ", 30)
	url, _ := writeReport(t, in)
	b.do(t, "open", chromedp.Navigate(url))
	b.waitFor(t, isReady)
	b.text(t, `document.documentElement.dataset.theme = 'dark'`)
	const a4 = 688 // CSS pixels between the margins
	print := chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
		return err
	})
	b.do(t, "paper", chromedp.EmulateViewport(a4, 900), print)
	b.text(t, `dispatchEvent(new Event('beforeprint'))`)
	b.waitFor(t, fmt.Sprintf("innerWidth === %d", a4))
	b.becomes(t, "beyond the edge of the paper", `JSON.stringify([...document.querySelectorAll('main *')].filter((e) => {
		const box = e.getBoundingClientRect();
		return box.width > 0 && box.right > innerWidth + 1 && !e.closest('pre') && !e.closest('svg');
	}).map((e) => e.tagName + ' ' + e.textContent.slice(0, 40)).slice(0, 5))`, "[]")
	if tall := evaluate[float64](t, b, `Math.max(...[...document.querySelectorAll('tr')].map((e) => e.getBoundingClientRect().height))`); tall > 200 {
		t.Errorf("a row of a table is %.0f pixels tall", tall)
	}
	for what, expression := range map[string]string{
		"the colours are light":                `document.documentElement.dataset.theme === 'light' && getComputedStyle(document.body).backgroundColor === 'rgb(255, 255, 255)'`,
		"the counterexample is open":           `[...document.querySelectorAll('.violation[open] .others')].every((e) => e.open)`,
		"the time shown is said":               `document.getElementById('range').getBoundingClientRect().height > 0`,
		"buttons and filters are left out":     `[...document.querySelectorAll('button, .filter input')].every((e) => e.getBoundingClientRect().height === 0)`,
		"every lane is drawn":                  `[...document.querySelectorAll('#lanes figure:not([hidden]) canvas')].every((e) => e.width > 600)`,
		"verdict, cause and picture are there": `['.verdict .cause', '.impossible', '.picture svg'].every((s) => document.querySelector(s).getBoundingClientRect().height > 10)`,
	} {
		b.becomes(t, "on paper "+what, expression, "true")
	}
	b.text(t, `dispatchEvent(new Event('afterprint'))`)
	b.waitFor(t, `document.documentElement.dataset.theme === 'dark'`)
	sheets, err := chromedp.Run(b.ctx, chromedp.PrintToPDF())
	if pages := bytes.Count(sheets, []byte("/Type /Page\n")); err != nil || pages < 2 || pages > 9 {
		t.Errorf("it prints on %d sheets, error %v; want a handful", pages, err)
	}
	b.checkQuiet(t)
}
