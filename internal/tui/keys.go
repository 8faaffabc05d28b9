package tui

// An action is what a key means.
type action int

// The actions. Each view takes those that mean something in it.
const (
	actNone action = iota
	actUp
	actDown
	actLeft
	actRight
	actPageUp
	actPageDown
	actHome
	actEnd
	actOpen
	actBack
	actMark
	actSearch
	actFilter
	actTime
	actCompress
	actColour
	actNames
	actMedia
	actSDP
	actDetail
	actBigger
	actSmaller
	actPause
	actAutoscroll
	actStatistics
	actGo
	actLegs
	actFold
	actFoldAll
	actWhy
	actNextProblem
	actPreviousProblem
	actExport
	actConnections
	actFindings
	actHelp
	actQuit
	actInterrupt
)

// A binding gives keys their meaning.
type binding struct {
	action action
	keys   []string // as Bubble Tea names them
	shown  string   // as help and docs/howto/watch.md write them
	words  string
}

// bindings are all keys, in the order in which help lists them. Those that sngrep has too mean the same there.
var bindings = []binding{
	{actUp, []string{"up", "k"}, "up k", "one line up"},
	{actDown, []string{"down", "j"}, "down j", "one line down"},
	{actLeft, []string{"left", "h"}, "left h", "scroll to the left"},
	{actRight, []string{"right", "l"}, "right l", "scroll to the right"},
	{actPageUp, []string{"pgup", "ctrl+b"}, "PgUp Ctrl-B", "one page up"},
	{actPageDown, []string{"pgdown", "ctrl+f"}, "PgDn Ctrl-F", "one page down"},
	{actHome, []string{"home"}, "Home", "to the first line"},
	{actEnd, []string{"end"}, "End", "to the last line"},
	{actOpen, []string{"enter"}, "Enter", "open what the cursor is on"},
	{actBack, []string{"esc"}, "Esc", "back to where you came from"},
	{actMark, []string{"space"}, "Space", "mark a message; two marks show what differs between them"},
	{actSearch, []string{"/", "f3"}, "/ F3", "search in what is shown; again with nothing: the next place"},
	{actFilter, []string{"f", "f7"}, "f F7", "filter the calls"},
	{actTime, []string{"w"}, "w", "times: since the row above, of day, since the start, with gaps"},
	{actCompress, []string{"s"}, "s", "columns: wide, or all of them on the screen"},
	{actColour, []string{"c"}, "c", "colour by kind, method, leg, status or connection"},
	{actNames, []string{"a"}, "a", "names or addresses"},
	{actMedia, []string{"m"}, "m", "rows for media, on and off"},
	{actSDP, []string{"d"}, "d", "SDP in the arrows, on and off"},
	{actDetail, []string{"t"}, "t", "the pane with details, on and off"},
	{actBigger, []string{"9"}, "9", "give that pane more room"},
	{actSmaller, []string{"0"}, "0", "give it less"},
	{actPause, []string{"p"}, "p", "hold the picture; calls go on, and are counted"},
	{actAutoscroll, []string{"A"}, "A", "follow the newest, on and off"},
	{actStatistics, []string{"i"}, "i", "statistics"},
	{actGo, []string{":"}, ":", "go to an address such as call/41/row/17, or run a command"},
	{actLegs, []string{"x", "f4"}, "x F4", "all joined legs, or the first one only"},
	{actFold, []string{"v"}, "v", "fold or unfold the TLS of this hop"},
	{actFoldAll, []string{"V"}, "V", "fold or unfold the TLS of all hops"},
	{actWhy, []string{"y"}, "y", "why these legs are one call"},
	{actNextProblem, []string{"!"}, "!", "to the next problem"},
	{actPreviousProblem, []string{"@"}, "@", "to the problem before"},
	{actExport, []string{"e", "f2"}, "e F2", "write the call to a file"},
	{actConnections, []string{"n"}, "n", "connections, handshakes and certificates"},
	{actFindings, []string{"F"}, "F", "findings: all that is wrong"},
	{actHelp, []string{"?", "f1"}, "? F1", "this page"},
	{actQuit, []string{"q"}, "q", "back, and from the list of calls out"},
	{actInterrupt, []string{"ctrl+c"}, "Ctrl-C", "out"},
}

// actionOf is what a key means.
var actionOf = func() map[string]action {
	all := map[string]action{}
	for _, b := range bindings {
		for _, k := range b.keys {
			all[k] = b.action
		}
	}
	return all
}()

// A cursor is which of some lines is chosen, and which is the first on the screen.
type cursor struct{ at, top int }

// move moves over n lines, of which page are on the screen. It reports whether the action was one that moves.
func (c *cursor) move(a action, n, page int) bool {
	switch a {
	case actUp:
		c.at--
	case actDown:
		c.at++
	case actPageUp:
		c.at -= max(1, page-1)
	case actPageDown:
		c.at += max(1, page-1)
	case actHome:
		c.at = 0
	case actEnd:
		c.at = n - 1
	default:
		return false
	}
	c.settle(n, page)
	return true
}

// settle keeps the chosen line among the n there are, and on the screen.
func (c *cursor) settle(n, page int) {
	c.at = max(0, min(c.at, n-1))
	c.top = max(min(c.top, c.at), c.at-max(page, 1)+1, 0)
	c.top = max(0, min(c.top, n-max(page, 1)))
}
