package export

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// columns gives each lifeline its column. The gateway always has one of its own. Those to which nothing was sent are left
// out when the view is compressed, and what does not fit is folded into one column at the right, the least busy first.
func (v *View) columns() {
	arrows := make([]int, len(v.Lifelines))
	words := make([]int, len(v.Lifelines))
	for i := range v.Rows {
		r := &v.Rows[i]
		if r.IsArrow() {
			arrows[r.From]++
			arrows[r.To]++
		} else {
			words[r.From]++
		}
	}
	hidden := make([]bool, len(v.Lifelines))
	shown := 0
	for i := range v.Lifelines {
		hidden[i] = i != v.gatewayLine() && arrows[i] == 0 && (v.o.Compress || v.isOfHidden(i))
		if !hidden[i] {
			shown++
		}
	}
	folded := v.crowd(arrows, hidden, shown)
	v.Place = make([]int, len(v.Lifelines))
	for i, l := range v.Lifelines {
		if hidden[i] || folded[i] {
			continue
		}
		v.Place[i] = len(v.Columns)
		v.Columns = append(v.Columns, Column{Name: l.Name, Address: l.Address, Gateway: l.Gateway, Lifelines: []int{i}})
	}
	v.gateway = v.Place[v.gatewayLine()]
	var names []string
	last := Column{}
	for i, l := range v.Lifelines {
		switch {
		case folded[i]:
			v.Place[i] = len(v.Columns)
			names = append(names, l.Name)
			last.Lifelines = append(last.Lifelines, i)
		case hidden[i]:
			v.Place[i] = v.gateway
		}
	}
	if len(names) > 0 {
		last.Name, last.Address = fmt.Sprintf("%d others", len(names)), strings.Join(names, ", ")
		v.Columns = append(v.Columns, last)
	}
}

// crowd chooses the lifelines that share a column because there is no room for each.
func (v *View) crowd(arrows []int, hidden []bool, shown int) map[int]bool {
	folded := map[int]bool{}
	if v.o.Columns <= 0 || shown <= max(v.o.Columns, 3) {
		return folded
	}
	var by []int
	for i := range v.Lifelines {
		if !hidden[i] && i != v.gatewayLine() {
			by = append(by, i)
		}
	}
	slices.SortStableFunc(by, func(a, b int) int { return cmp.Or(cmp.Compare(arrows[a], arrows[b]), cmp.Compare(b, a)) })
	for _, i := range by[:min(len(by), shown-max(v.o.Columns, 3)+1)] {
		folded[i] = true
	}
	return folded
}

// isOfHidden reports whether a lifeline has legs and all of them are hidden.
func (v *View) isOfHidden(line int) bool {
	has := false
	for i, l := range v.Legs {
		if l.Lifeline == line {
			if !v.o.Hide[i] {
				return false
			}
			has = true
		}
	}
	return has
}

// leftOut says which lifelines have no column, and which legs are hidden.
func (v *View) leftOut() (lines []string) {
	var names []string
	for i, l := range v.Lifelines {
		if !slices.Contains(v.Columns[v.Place[i]].Lifelines, i) && !v.isOfHidden(i) {
			names = append(names, l.Name)
		}
	}
	if len(names) > 0 {
		lines = append(lines, "without a column, because nothing was sent to them: "+strings.Join(names, ", "))
	}
	var legs []string
	for i, l := range v.Legs {
		if v.o.Hide[i] {
			legs = append(legs, l.Name)
		}
	}
	if len(legs) > 0 {
		lines = append(lines, "not shown: hop "+strings.Join(legs, ", hop "))
	}
	return lines
}
