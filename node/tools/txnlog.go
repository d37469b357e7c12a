package tools

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"zoolab/node/storage"
	"zoolab/node/vfs"
	"zoolab/zk/jute"
)

const txnLogUsage = `usage: node txnlog [-r [-v] [-y]] FILE
       node txnlog -c -z ZXID FILE

Prints the transactions of a log file, one a line: time, session, cxid, zxid, operation
and what it says. Where the checksum of one is wrong, its line begins with "CRC ERROR".

  -d, --dump       print (the default)
  -r, --recover    write FILE.fixed, with right checksums where they were wrong. It asks
                   about each: what is in the transaction may be what is damaged
  -v, --verbose    with -r, print all transactions, not only those
  -y, --yes        with -r, do not ask
  -c, --chop       write FILE.chopped<zxid>, which ends with the transaction of -z
  -z, --zxid ZXID  decimal, or hexadecimal as 0x1f

FILE itself is never changed.
`

// TxnLog dumps, recovers or chops a log, as Apache's TxnLogToolkit. What differs: a
// transaction is one line, also with an ACL; control characters are written as \x0a; the
// parts of a multi are decoded; and the name of a chopped file has the zxid as given.
func TxnLog(args []string, s Streams) int {
	c := newCommand("node txnlog", txnLogUsage, s)
	c.boolean("d", "dump")
	recoverMode := c.boolean("r", "recover")
	verbose := c.boolean("v", "verbose")
	yes := c.boolean("y", "yes")
	chop := c.boolean("c", "chop")
	zxidText := c.text("z", "zxid", "")
	rest, code := c.parse(args, 1, 1)
	if code >= 0 {
		return code
	}
	switch {
	case *chop != (*zxidText != ""):
		return c.wrong("-c and -z ZXID go together")
	case *chop && *recoverMode:
		return c.wrong("-c and -r do not go together")
	case *verbose && !*recoverMode, *yes && !*recoverMode:
		return c.wrong("-v and -y are for -r")
	}
	file := rest[0]
	if *chop {
		zxid, err := strconv.ParseInt(*zxidText, 0, 64)
		if err != nil || zxid < 0 {
			return c.wrong("%q is not a zxid", *zxidText)
		}
		return c.chop(file, zxid, *zxidText)
	}
	d := &logDump{command: c, verbose: *verbose || !*recoverMode, yes: *yes}
	d.out = bufio.NewWriter(c.Out)
	defer d.out.Flush()
	var err error
	if *recoverMode {
		err = d.recover(file)
	} else {
		err = d.dump(file)
	}
	if err == nil {
		return exitDone
	}
	d.out.Flush()
	return d.failed(err)
}

// logDump prints a log and may write another one.
type logDump struct {
	*command
	out     *bufio.Writer
	answers *bufio.Scanner
	verbose bool
	yes     bool
	to      *bufio.Writer // the recovered log; nil if there is none
	count   int
	fixed   int
}

func (d *logDump) dump(file string) error {
	fmt.Fprintln(d.out, "ZooKeeper Transactional Log File with dbid 0 txnlog format version 2")
	if err := storage.InspectLog(vfs.OS{}, file, d.visit); err != nil {
		return explain(err, d.count)
	}
	fmt.Fprintf(d.out, "EOF reached after %d txns.\n", d.count)
	return nil
}

// explain says what the end of a log that is no proper end can be.
func explain(err error, count int) error {
	if !errors.Is(err, storage.ErrCorrupt) {
		return err
	}
	return fmt.Errorf("%w (after %d txns). If a server writes this log, or was killed while it did, this is the end of "+
		"the log; otherwise it is damaged", err, count)
}

func (d *logDump) visit(r storage.Record) error {
	d.count++
	payload := r.Payload
	fix := false
	if r.Damaged {
		var err error
		if fix, err = d.judge(payload); err != nil {
			return err
		}
	}
	if d.verbose {
		fmt.Fprintln(d.out, txnLine(payload))
	}
	if d.to == nil {
		return nil
	}
	record := storage.AppendLogRecord(nil, payload)
	if r.Damaged && !fix {
		clear(record[:8]) // no checksum that would vouch for it
	}
	_, err := d.to.Write(record)
	return err
}

var errAborted = errors.New("recovery aborted")

// judge tells of a wrong checksum and whether it is to be set right.
func (d *logDump) judge(payload []byte) (fix bool, err error) {
	if d.to == nil {
		fmt.Fprintln(d.out, "CRC ERROR - "+txnLine(payload))
		return false, nil
	}
	if d.yes {
		fmt.Fprintln(d.out, "CRC FIXED - "+txnLine(payload))
		d.fixed++
		return true, nil
	}
	fmt.Fprintln(d.out, "CRC ERROR - "+txnLine(payload))
	for {
		fmt.Fprint(d.out, "Would you like to fix it (Yes/No/Abort) ? ")
		d.out.Flush()
		if !d.answers.Scan() {
			return false, errors.New("the answer is missing: give one on the standard input, or -y to fix all")
		}
		answer := strings.ToUpper(strings.TrimSpace(d.answers.Text()))
		switch {
		case strings.HasPrefix(answer, "Y"):
			d.fixed++
			return true, nil
		case strings.HasPrefix(answer, "N"):
			return false, nil
		case strings.HasPrefix(answer, "A"):
			return false, errAborted
		}
	}
}

// recover writes what can be read, up to where the log ends or can't be followed.
func (d *logDump) recover(file string) error {
	target := file + ".fixed"
	d.answers = bufio.NewScanner(d.In)
	var end error
	err := writeNew(target, func(w *bufio.Writer) error {
		d.to = w
		if _, err := w.Write(storage.AppendLogHeader(nil)); err != nil {
			return err
		}
		err := d.dump(file)
		if errors.Is(err, storage.ErrCorrupt) && d.count > 0 {
			end, err = err, nil
		}
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "Recovery file %s has been written with %d fixed CRC error(s)\n", target, d.fixed)
	return end
}

// writeNew writes a file that must not be there yet, durably. A failure leaves none.
func writeNew(name string, write func(w *bufio.Writer) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already: remove or rename it first", name)
	}
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	err = write(w)
	if err == nil {
		err = errors.Join(w.Flush(), f.Sync())
	}
	if err = errors.Join(err, f.Close()); err != nil {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

// errChopped ends the reading of a log that is chopped.
var errChopped = errors.New("chopped")

func (c *command) chop(file string, zxid int64, zxidText string) int {
	target := file + ".chopped" + zxidText
	count, last := 0, int64(-1)
	err := writeNew(target, func(w *bufio.Writer) error {
		if _, err := w.Write(storage.AppendLogHeader(nil)); err != nil {
			return err
		}
		err := storage.ScanLog(vfs.OS{}, file, func(r storage.Record) error {
			if r.Zxid > zxid {
				return errChopped
			}
			if last >= 0 && r.Zxid != last+1 && (r.Zxid>>32 == last>>32 || uint32(r.Zxid) != 1) {
				fmt.Fprintf(c.Out, "There is a gap between %x and %x\n", last, r.Zxid)
			}
			count, last = count+1, r.Zxid
			_, err := w.Write(storage.AppendLogRecord(nil, r.Payload))
			return err
		})
		switch {
		case err == nil && last == zxid:
			return fmt.Errorf("%x is the last zxid of the log: nothing is behind it", zxid)
		case err != nil && err != errChopped:
			return explain(err, count)
		case last != zxid:
			return fmt.Errorf("this log does not contain zxid %x", zxid)
		}
		return nil
	})
	if err != nil {
		return c.failed(err)
	}
	fmt.Fprintf(c.Out, "Chopping at %x new log has %d records\n%s\n", zxid, count, target)
	return exitDone
}

// txnLine describes a transaction.
func txnLine(payload []byte) string {
	var txn jute.LoggedTxn
	if err := jute.Unmarshal(payload, &txn); err != nil {
		var header jute.TxnHeader
		header.Decode(jute.NewDecoder(payload))
		return fmt.Sprintf("%s: not readable: %v", headerText(&header), err)
	}
	return headerText(&txn.Header) + " " + bodyText(txn.Body)
}

func headerText(h *jute.TxnHeader) string {
	return fmt.Sprintf("%s session 0x%x cxid 0x%x zxid 0x%x %s", time.UnixMilli(h.TimeMs).Format(dateTime),
		uint64(h.ClientID), uint32(h.Cxid), uint64(h.Zxid), opName(h.Type))
}

// opName is an operation's name in Apache's tools.
func opName(op jute.OpCode) string {
	if op == jute.OpCreateTTL {
		return "createTtl"
	}
	return op.String()
}

func bodyText(body jute.Record) string {
	switch t := body.(type) {
	case nil:
		return ""
	case *jute.CreateTxn:
		return fmt.Sprintf("%s,%s,%s,%t,%d", plain(t.Path), plain(string(t.Data)), aclText(t.ACL), t.Ephemeral, t.ParentCVersion)
	case *jute.CreateContainerTxn:
		return fmt.Sprintf("%s,%s,%s,%d", plain(t.Path), plain(string(t.Data)), aclText(t.ACL), t.ParentCVersion)
	case *jute.CreateTTLTxn:
		return fmt.Sprintf("%s,%s,%s,%d,%d", plain(t.Path), plain(string(t.Data)), aclText(t.ACL), t.ParentCVersion, t.TtlMs)
	case *jute.SetDataTxn:
		return fmt.Sprintf("%s,%s,%d", plain(t.Path), plain(string(t.Data)), t.Version)
	case *jute.DeleteTxn:
		return csv(t.Path)
	case *jute.CheckVersionTxn:
		return fmt.Sprintf("%s,%d", csv(t.Path), t.Version)
	case *jute.SetACLTxn:
		var entries []string
		for _, a := range t.ACL {
			entries = append(entries, "s{"+aclEntry(a)+"}")
		}
		return fmt.Sprintf("%s,v{%s},%d", csv(t.Path), strings.Join(entries, ","), t.Version)
	case *jute.CreateSessionTxn:
		return fmt.Sprint(t.TimeoutMs)
	case *jute.CloseSessionTxn:
		var paths []string
		for _, path := range t.Paths2Delete {
			paths = append(paths, csv(path))
		}
		return "v{" + strings.Join(paths, ",") + "}"
	case *jute.ErrorTxn:
		return fmt.Sprint(int32(t.Err))
	case *jute.MultiTxn:
		return multiText(t)
	}
	return fmt.Sprintf("%+v", body)
}

func multiText(t *jute.MultiTxn) string {
	var parts []string
	for _, sub := range t.Txns {
		text := ""
		if body := jute.TxnRecord(sub.Type); body != nil && jute.Unmarshal(sub.Data, body) == nil {
			text = bodyText(body)
		} else {
			text = plain(string(sub.Data))
		}
		parts = append(parts, opName(sub.Type)+":"+text)
	}
	return strings.Join(parts, ";")
}

func aclText(acl []jute.ACL) string {
	var entries []string
	for _, a := range acl {
		entries = append(entries, aclEntry(a))
	}
	return "[" + strings.Join(entries, ", ") + "]"
}

func aclEntry(a jute.ACL) string {
	return fmt.Sprintf("%d,s{%s,%s}", a.Perms, csv(a.ID.Scheme), csv(a.ID.ID))
}

// csv is a string as Java's records print themselves.
func csv(text string) string {
	return "'" + plain(strings.NewReplacer("\x00", "%00", "\n", "%0A", "\r", "%0D", ",", "%2C", "}", "%7D", "%", "%25").Replace(text))
}

// plain is text that a terminal and a line take without harm.
func plain(text string) string {
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == '\uFFFD' && !strings.HasPrefix(text[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case r < ' ' || r >= 0x7f && r < 0xa0:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
