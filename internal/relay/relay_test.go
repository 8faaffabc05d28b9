package relay

import (
	"testing"
	"unsafe"

	"github.com/sallyport-sip/sallyport/sip/dialog"
)

// What a subscription holds besides the text of its dialogs, which is that of two
// SUBSCRIBEs at most, is far below what maxSubscriptions reckons with.
func TestSizeOfASubscription(t *testing.T) {
	const tables = 2*64 + 32 // its entries in the maps of its shard, about
	size := unsafe.Sizeof(subscription{}) + 2*(unsafe.Sizeof(leg{})+unsafe.Sizeof(dialog.Dialog{})) + unsafe.Sizeof(dialog.UAC{}) + tables
	if t.Logf("%d bytes", size); size > 3<<10 {
		t.Errorf("a subscription takes %d bytes", size)
	}
}

// Each outcome has a name of its own, for the metrics.
func TestOutcomesHaveNames(t *testing.T) {
	seen := make(map[string]bool)
	for o := range outcomes {
		if name := o.String(); name == "" || seen[name] {
			t.Errorf("outcome %d is called %q", o, name)
		} else {
			seen[name] = true
		}
	}
}
