package export

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// scripted returns the flows of every script in testdata, by the file.
func scripted(t testing.TB) map[string][]*callflow.Flow {
	t.Helper()
	flows := map[string][]*callflow.Flow{}
	for _, file := range scripts(t) {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		flows[filepath.Base(file)] = callflow.Builder{}.Build(parseScript(t, string(archive.Files[0].Data)))
	}
	return flows
}

// drawings is every way of drawing text.
var drawings = []Options{{}, {Width: 130}, {ASCII: true}, {FoldTLS: true, Colour: true}, {Bare: true, Width: 60}}

func texts(t testing.TB, flows []*callflow.Flow) string {
	t.Helper()
	var b bytes.Buffer
	for _, o := range drawings {
		if err := Text(&b, flows, o); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func encoded(t testing.TB, flows []*callflow.Flow) string {
	t.Helper()
	var b bytes.Buffer
	if err := JSON(&b, flows, Options{}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestWhatWasDecodedDrawsTheSame takes every script through a document.
func TestWhatWasDecodedDrawsTheSame(t *testing.T) {
	t.Parallel()
	for file, flows := range scripted(t) {
		text := encoded(t, flows)
		again, err := Decode(strings.NewReader(text))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if got, want := texts(t, again), texts(t, flows); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
		}
		if got := encoded(t, again); got != text {
			t.Errorf("%s: the document of what was decoded is\n%s\nnot\n%s", file, got, text)
		}
	}
}

// TestADocumentLosesNothing takes a flow with something in each field there is through a document, so that a new field of
// the model cannot be forgotten.
func TestADocumentLosesNothing(t *testing.T) {
	t.Parallel()
	f := fullFlow(t)
	for name, raw := range map[string]string{"text": "BYE sip:a SIP/2.0\r\n\x00\u2028<script>", "no UTF-8": "\xff\x00\xfe"} {
		f.Rows[0].Raw = []byte(raw)
		again, err := Decode(strings.NewReader(encoded(t, []*callflow.Flow{f})))
		if err != nil {
			t.Fatal(name, err)
		}
		if !reflect.DeepEqual(again, []*callflow.Flow{f}) {
			got, _ := json.MarshalIndent(again[0], "", " ")
			want, _ := json.MarshalIndent(f, "", " ")
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}

// fullFlow has something in each field, and one of everything.
func fullFlow(t testing.TB) *callflow.Flow {
	f := &callflow.Flow{}
	fill(t, reflect.ValueOf(f).Elem(), "Flow")
	f.Rows[0].Since = 1234567
	f.Rows[0].At = f.Start.Add(f.Rows[0].Since)
	f.Legs[0].Hop.Handshake[0].Since = 7654321
	f.Legs[0].Lifeline, f.Rows[0].Leg, f.Rows[0].From, f.Rows[0].To, f.Rows[0].Number, f.Findings[0].Rows[0] = 0, 0, 0, 0, 1, 1
	f.Legs[0].Direction, f.Security.Hops[0].Direction = callflow.Out, callflow.Out
	f.Security.Hops[0].Seen = callflow.OverTLS | callflow.OverPlain | callflow.ByAddress | callflow.OneSided
	f.Rows[0].Link, f.Rows[0].Remote = nil, netip.AddrPort{} // what the document tells by the hop
	f.Legs[0].Hop.Reused.Age = 12 * time.Microsecond
	return f
}

// fill puts something into each field.
func fill(t testing.TB, v reflect.Value, path string) {
	t.Helper()
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Date(2026, 3, 1, 20, 5, 23, 589123457, time.UTC)))
		return
	case netip.AddrPort:
		v.Set(reflect.ValueOf(netip.MustParseAddrPort("[2001:db8::7]:5061")))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), path+"."+v.Type().Field(i).Name)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), path)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(t, v.Index(0), path)
	case reflect.String:
		v.SetString(path)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1234567)
	case reflect.Uint8, reflect.Uint64:
		v.SetUint(7)
	default:
		t.Fatalf("%s: a %s cannot be filled", path, v.Kind())
	}
}

// TestDocumentsThatAreNone wants errors that say where, why and what to do.
func TestDocumentsThatAreNone(t *testing.T) {
	t.Parallel()
	call := func(fields string) string { return `{"version": 1, "calls": [{"id": "41", ` + fields + `}]}` }
	const lines = `"start": "2026-03-01T20:05:23Z", "lifelines": [{"name": "a"}, {"name": "gateway"}], `
	for _, c := range []struct{ in, want string }{
		{`{"calls": []}`, `there is no "version"`},
		{`{"version": 2, "calls": 7}`, "its version is 2, and this program reads versions up to 1; read it with a newer sallyport"},
		{`{"version": 0}`, "which never was"},
		{"{\n  \"version\": 1,\n  \"calls\": [}", "line 3, column 13: invalid character"},
		{"", "line 1, column 1: unexpected end"},
		{"{\"version\": 1,\n\"calls\": 7}", "line 2, column 10: calls is a number"},
		{call(`"start": "2026-03-01T20:05:23Z"`), `call 1 of 1, id "41": it has 0 lifelines`},
		{call(lines + `"legs": [{"name": "A", "direction": "up"}]`), `leg "A": its direction is "up"`},
		{call(lines + `"legs": [{"name": "A", "direction": "in", "lifeline": 2}]`), "it stands at lifeline 2, and there are 2"},
		{call(lines + `"legs": [{"name": "A", "direction": "in"}, {"name": "A", "direction": "in"}]`), `two legs are called "A"`},
		{call(lines + `"legs": [{"name": "A", "direction": "in", "hop": {"connection": 1, "local": "x:y"}}]`), `its local address "x:y" is none`},
		{call(lines + `"events": [{"row": 1, "from_line": -1}]`), "event 1, row 1: it stands at lifeline -1"},
		{call(lines + `"events": [{"row": 1, "leg": "B"}]`), `its leg "B" is not there`},
		{call(lines + `"events": [{"row": 1, "step": 0}]`), "it draws step 0 of a handshake with 0"},
		{call(lines + `"events": [{"row": 1, "step": "x"}]`), "does not fit"},
		{call(lines + `"events": [{"row": 2}, {"row": 2}]`), "event 2, row 2: the numbers of rows begin at 1 and grow"},
		{call(lines + `"events": [{"row": 0}]`), "event 1, row 0: the numbers"},
		{call(lines + `"findings": [{"code": "no-ack", "rows": [3]}]`), `finding "no-ack" names row 3, which is not there`},
		{call(lines + `"security": {"hops": [{"direction": ""}]}`), "security, hop 1: its direction"},
		{call(lines + `"duration_us": 1e300`), "a hundred years"},
	} {
		flows, err := Decode(strings.NewReader(c.in))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "flow document: ") {
			t.Errorf("%s:\n got %d flows and %v\nwant %s", c.in, len(flows), err, c.want)
		}
	}
	if flows, err := Decode(strings.NewReader(call(lines + `"events": [], "a new field": 1`))); err != nil || len(flows) != 1 {
		t.Errorf("a document with a field of later: got %v", err)
	}
}

// FuzzDecode wants that whatever is taken can be drawn, and comes back from a document of its own as it was.
func FuzzDecode(f *testing.F) {
	full, err := json.Marshal(NewDocument([]*callflow.Flow{fullFlow(f)}))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(full)
	f.Add([]byte(`{"version":1,"calls":[{"id":"4","start":"2026-03-01T20:05:23Z","lifelines":[{"name":"a"},{"name":"g"}],"legs":[{"name":"A","direction":"in"}],"events":[{"row":1,"kind":"sip","to_line":1,"leg":"A","label":"BYE"}]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		flows, err := Decode(bytes.NewReader(b))
		if err != nil {
			return
		}
		text := texts(t, flows)
		var once bytes.Buffer
		if err := JSON(&once, flows, Options{}); err != nil {
			return // a year beyond 9999
		}
		again, err := Decode(bytes.NewReader(once.Bytes()))
		if err != nil {
			t.Fatalf("%v of\n%s", err, once.Bytes())
		}
		if got := texts(t, again); got != text {
			t.Errorf("got\n%s\nwant\n%s", got, text)
		}
		if got := encoded(t, again); got != once.String() {
			t.Errorf("got\n%s\nwant\n%s", got, once.String())
		}
	})
}

// TestTheReferenceHasEachField keeps the page of the document complete.
func TestTheReferenceHasEachField(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/reference/flow-json.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(v reflect.Type) {
		switch {
		case v.Kind() == reflect.Slice || v.Kind() == reflect.Pointer:
			walk(v.Elem())
			return
		case v.Kind() != reflect.Struct || seen[v]:
			return
		}
		seen[v] = true
		for f := range v.Fields() {
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" &&
				!strings.Contains(string(page), "`"+name+"`") && !strings.Contains(string(page), "`hop."+name+"`") {
				t.Errorf("docs/reference/flow-json.md does not say what %s of %s is", name, v)
			}
			walk(f.Type)
		}
	}
	walk(reflect.TypeFor[Document]())
	if len(seen) < 10 {
		t.Errorf("only %d types were looked at", len(seen))
	}
}
