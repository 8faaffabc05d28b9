package dialog

import "testing"

func TestEffectsOfFailures(t *testing.T) {
	usage := map[int]bool{405: true, 408: true, 480: true, 481: true, 489: true, 501: true}
	whole := map[int]bool{404: true, 410: true, 416: true, 482: true, 483: true, 484: true, 485: true, 502: true, 604: true}
	for code := 300; code < 700; code++ {
		want := EndsTransaction
		if usage[code] {
			want = EndsUsage
		} else if whole[code] {
			want = EndsDialog
		}
		if got := EffectOf(code); got != want {
			t.Errorf("%d: got %d, want %d", code, got, want)
		}
		session := code == 408 || code == 481 || whole[code]
		if got := EndsSession(code); got != session {
			t.Errorf("EndsSession(%d) is %v", code, got)
		}
	}
}
