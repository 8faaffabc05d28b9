package api

import (
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
	"github.com/sallyport-sip/sallyport/internal/config"
)

// documents are the types that docs/reference/api.md describes, each under a
// heading with its name.
var documents = []any{
	Session{}, Status{}, Configuration{}, Refused{}, Listener{}, Connections{}, Dead{}, Kept{}, Large{}, Limit{}, Alarm{}, Peer{}, Down{}, Load{}, Call{}, Security{}, Hop{}, HopTLS{}, Connection{}, TLS{}, Reloaded{}, Change{}, Certificate{}, Failing{}, Endings{}, Ending{}, TrustDiff{}, PeerDiff{}, Judged{}, Shown{}, config.Problem{},
	FlowList{}, callflow.Summary{}, export.Diff{}, export.DiffSide{}, export.DiffChange{}, FlowChanges{}, StreamStatus{}, callflow.Handshake{}, callflow.Offer{}, callflow.Chosen{}, callflow.Verdict{},
	FilterList{}, SavedFilter{}, FilterKey{}, FilterCheck{},
}

// kind is the word of the page for a field's type.
func kind(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "time"
	case t == reflect.TypeFor[netip.AddrPort]():
		return "string"
	case t.Kind() == reflect.Pointer:
		return kind(t.Elem()) + " or null"
	case t.Kind() == reflect.Slice:
		return "list of " + kind(t.Elem())
	case t.Kind() == reflect.Struct:
		return t.Name()
	case t.Kind() == reflect.String:
		return "string"
	case t.Kind() == reflect.Bool:
		return "boolean"
	}
	return "number"
}

// The page has every field of every document, with its type, and no other.
func TestDocumentsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/api.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| ([^|]+) \\| [^|]+ \\|$")
	for _, doc := range documents {
		of := reflect.TypeOf(doc)
		_, section, found := strings.Cut(string(page), "\n### "+of.Name()+"\n")
		if !found {
			t.Errorf("there is no section %s", of.Name())
			continue
		}
		section, _, _ = strings.Cut(section, "\n#")
		var got, want []string
		for _, m := range row.FindAllStringSubmatch(section, -1) {
			got = append(got, m[1]+": "+m[2])
		}
		for f := range of.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			want = append(want, name+": "+kind(f.Type))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s\ngot  %q\nwant %q", of.Name(), got, want)
		}
	}
	for _, r := range routes {
		if !strings.Contains(string(page), "`"+r.pattern+"`") {
			t.Errorf("%s is not there", r.pattern)
		}
	}
}
