package callflow

import (
	"strings"
	"testing"
)

// TestEndedForWantOfAnACK wants the sentence of a call that the gateway ended to say why: who reads "ended" alone takes it for a
// call that went well. A BYE that gets no answer is no such reason.
func TestEndedForWantOfAnACK(t *testing.T) {
	const up = "0 setup A>ACK.omit=1\n"
	for _, c := range []struct{ script, want string }{
		{up + `32560 timeout A reason="no ACK to the 2xx in 32.0s"` + "\n32561 A< BYE cseq=2\n32570 A> 200 cseq=2 method=BYE\n",
			": no ACK to the 2xx in 32.0s; answered by trunk on hop B"},
		{up + "5000 A< BYE cseq=2\n37000 timeout A " + `reason="no answer to BYE"` + "\n", "s, answered by trunk on hop B"},
	} {
		flows := (Builder{}).Build(parsePlay(t, c.script))
		if len(flows) != 1 || !strings.HasPrefix(flows[0].Sentence, "Ended by the gateway on hop A after ") || !strings.Contains(flows[0].Sentence, c.want) {
			t.Errorf("got %d flows, %q; want a sentence with %q", len(flows), flows[0].Sentence, c.want)
		}
	}
}
