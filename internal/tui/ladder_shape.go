package tui

import (
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
)

// shape makes the flow that is drawn of the one there is: with addresses for names, and with SDP in labels and rows. Numbers of rows
// stay what they are.
func (l *ladder) shape() *callflow.Flow {
	d, f := &l.drawnOf, *l.flow
	if d.addresses {
		f.Lifelines = slices.Clone(f.Lifelines)
		for i := range f.Lifelines {
			if a := f.Lifelines[i].Address; a != "" {
				f.Lifelines[i] = callflow.Lifeline{Name: a, Gateway: f.Lifelines[i].Gateway}
			}
		}
	}
	if d.media || d.sdp {
		f.Rows = l.rows(d)
	}
	return &f
}

// rows are the flow's, with what media and sdp say.
func (l *ladder) rows(d *drawnOf) (rows []callflow.Row) {
	for _, r := range l.flow.Rows {
		media := mediaOf(r.Raw)
		if d.sdp && len(media) > 0 {
			r.Label = strings.Replace(r.Label, "(SDP", "("+strings.Join(media, ", "), 1)
		}
		rows = append(rows, r)
		if !d.media {
			continue
		}
		for _, text := range media {
			rows = append(rows, callflow.Row{Number: r.Number, At: r.At, Since: r.Since, Kind: callflow.RowNote,
				From: min(r.From, r.To), To: min(r.From, r.To), Leg: r.Leg, Label: "media: " + text})
		}
	}
	return rows
}

// mediaOf says what the session description of a message offers, one text for each stream: "audio 192.0.2.1:4000 RTP/AVP PCMU opus".
func mediaOf(raw []byte) (all []string) {
	_, body, found := strings.Cut(string(raw), "\r\n\r\n")
	if !found || !strings.HasPrefix(body, "v=0") {
		return nil
	}
	host := ""
	for line := range strings.Lines(body) {
		line = strings.TrimRight(line, "\r\n")
		kind, value, _ := strings.Cut(line, "=")
		words := strings.Fields(value)
		switch {
		case kind == "c" && len(words) == 3 && len(all) == 0:
			host, _, _ = strings.Cut(words[2], "/")
		case kind == "c" && len(words) == 3:
			of, _, _ := strings.Cut(words[2], "/")
			all[len(all)-1] = strings.Replace(all[len(all)-1], " "+hostPort(host, ""), " "+hostPort(of, ""), 1)
		case kind == "m" && len(words) >= 4:
			port, _, _ := strings.Cut(words[1], "/")
			var text strings.Builder
			text.WriteString(words[0] + " " + hostPort(host, port) + " " + words[2])
			for _, format := range words[3:] {
				text.WriteString(" " + codec(body, format))
			}
			all = append(all, text.String())
		}
	}
	return all
}

func hostPort(host, port string) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + port
}

// codec is the name of a payload type: what rtpmap says, else the static ones that are met (RFC 3551 §6), else the number.
func codec(body, format string) string {
	if _, rest, found := strings.Cut(body, "a=rtpmap:"+format+" "); found {
		name, _, _ := strings.Cut(rest, "/")
		return strings.TrimSpace(name)
	}
	if name := map[string]string{"0": "PCMU", "3": "GSM", "8": "PCMA", "9": "G722", "18": "G729"}[format]; name != "" {
		return name
	}
	return format
}

// colour gives the arrows of SIP messages the colours of the palette.
func (l *ladder) colour(f *callflow.Flow) {
	if l.colouring == byKind {
		return
	}
	looks := map[int]look{}
	for i := range f.Rows {
		if r := &f.Rows[i]; r.Kind == callflow.RowSIP && !r.Bad {
			looks[r.Number] = hue(l.colourKey(f, r))
		}
	}
	for i := range l.drawn.Rows {
		line := &l.drawn.Rows[i]
		of, found := looks[line.Row]
		for j := 0; found && j < len(line.Styles); j++ {
			if line.Styles[j] == export.StyleSIP {
				line.Styles[j] = export.Style(of)
			}
		}
	}
}

// hue gives the same key the same colour.
func hue(key string) look {
	n := 0
	for _, r := range key {
		n = n*31 + int(r)
	}
	return hues[(n%len(hues)+len(hues))%len(hues)]
}

// colourKey is what messages of one colour have in common.
func (l *ladder) colourKey(f *callflow.Flow, r *callflow.Row) string {
	first, _, _ := strings.Cut(r.Label, " ")
	code, err := strconv.Atoi(first)
	switch l.colouring {
	case byMethod:
		return methodOf(r.Raw)
	case byLeg:
		return strconv.Itoa(r.Leg)
	case byConnection:
		if r.Leg >= 0 && f.Legs[r.Leg].Hop.Link != nil {
			return strconv.FormatUint(f.Legs[r.Leg].Hop.Link.ID, 10)
		}
	case byStatus:
		if err == nil {
			return strconv.Itoa(code / 100)
		}
	}
	return ""
}

// methodOf is the method of a request, or of the request that a response answers.
func methodOf(raw []byte) string {
	for i, line := range strings.Split(string(raw), "\r\n") {
		if i == 0 && !strings.HasPrefix(line, "SIP/") {
			method, _, _ := strings.Cut(line, " ")
			return method
		}
		if name, value, found := strings.Cut(line, ":"); found && strings.EqualFold(strings.TrimSpace(name), "CSeq") {
			words := strings.Fields(value)
			return words[len(words)-1]
		}
	}
	return ""
}
