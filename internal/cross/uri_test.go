package cross

import (
	"testing"

	"github.com/sallyport-sip/sallyport/sip"
)

// A From whose URI is neither SIP nor a number names nobody whom the target
// could call back.
func TestFromOfAnotherScheme(t *testing.T) {
	for from, want := range map[string]string{
		"<tel:+4930555>":             "sip:+4930555@gw.example",
		"<sips:bob@x>":               "sip:bob@gw.example",
		"<im:bob@x>":                 "sip:gw.example",
		"<sip:x>":                    "sip:gw.example",
		"<sip:a@anonymous.invalid>":  "sip:a@anonymous.invalid",
		"<sip:bob:secret@x;user=ip>": "sip:bob@gw.example",
	} {
		m, err := sip.Parse([]byte("INVITE sip:x SIP/2.0\r\nFrom: " + from + ";tag=1\r\n\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		if got := From(m, here, false).URI; got != want {
			t.Errorf("%s: got %s, want %s", from, got, want)
		}
	}
}
