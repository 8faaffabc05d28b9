//go:build interop

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	gotext "text/template"

	"github.com/rogpeppe/go-internal/txtar"
)

// A scenario is in testdata/sipp/NAME.txtar: what it is about, then a part for each SIPp: caller, answerer, second. A
// part is SIPp's XML, in which these actions of text/template stand for what every message has:
//
//	{{invite OPTION...}}              the INVITE that begins the call
//	{{cancel OPTION...}}              the CANCEL of it
//	{{refused N}}                     the ACK to its refusal, or to that of the INVITE with CSeq number N
//	{{request "METHOD" N OPTION...}}  a request in the dialog, with CSeq number N; an ACK to a 2xx too
//	{{reply "200 OK" NAME OPTION...}} the response to the request that came under NAME
//	{{want "200" "INVITE" OPTION...}} receives a response to a method
//	{{get "BYE" NAME OPTION...}}      receives a request under a name
//
// Options of what is sent: "sdp=N" is a session description with version N, which else there is none; "tag=T" is the
// answerer's To tag when it has several, "to=NAME" sends to the To that was kept; "retrans" sends it again on UDP until something comes; anything else is a header.
//
// Options of what is received: "sdp=N" wants a session description with version N, "empty" no body; "optional" lets it
// be missing; "as=NAME" keeps the To of a response as $NAME; "same=NAME" wants the To that was kept, "not=NAME" another
// one; "Name: REGEXP" wants such a header.
type scenario struct {
	side      string
	variables []string // every one, in order; SIPp refuses those that are not used
	checks    int
}

// writeScenario writes the parts of a scenario into dir as XML that SIPp reads, and returns their names.
func writeScenario(t *testing.T, dir, name string) (sides []string) {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("testdata", "sipp", name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range archive.Files {
		s := &scenario{side: part.Name}
		actions := gotext.FuncMap{
			"invite": s.invite, "cancel": s.cancel, "refused": s.refused, "request": s.request, "reply": s.reply,
			"want": s.want, "get": s.get,
		}
		parsed, err := gotext.New(name + " " + part.Name).Funcs(actions).Parse(string(part.Data))
		if err != nil {
			t.Fatal(err)
		}
		var xml strings.Builder
		fmt.Fprintf(&xml, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<scenario name=\"%s, %s\">\n", name, part.Name)
		if err := parsed.Execute(&xml, nil); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(xml.String(), `next="fail"`) {
			xml.WriteString("<nop next=\"end\"/>\n<label id=\"fail\"/>\n<recv request=\"NONE\" timeout=\"1\"/>\n<label id=\"end\"/>\n")
		}
		if len(s.variables) > 0 {
			fmt.Fprintf(&xml, "<Reference variables=\"%s\"/>\n", strings.Join(s.variables, ","))
		}
		xml.WriteString("</scenario>\n")
		if err := os.WriteFile(filepath.Join(dir, part.Name+".xml"), []byte(xml.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		sides = append(sides, part.Name)
	}
	return sides
}

// branch is that of a side's request with this CSeq number; an INVITE's CANCEL and the ACK to its refusal have the
// INVITE's (RFC 3261 §9.1, §17.1.1.3).
func (s *scenario) branch(method string, seq int) string {
	return fmt.Sprintf("z9hG4bK-[pid]-[call_number]-%s-%s-%d", s.side, method, seq)
}

// send is a message of SIPp's. Each of the lines is a header.
func send(options []string, first string, headers ...string) string {
	attributes, body, length := "", "", "0"
	for _, o := range options {
		switch key, value, _ := strings.Cut(o, "="); {
		case o == "retrans":
			attributes = ` retrans="500"`
		case key == "sdp":
			headers = append(headers, "Content-Type: application/sdp")
			length = "[len]"
			body = "v=0\no=- 1 " + value + " IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\nm=audio 40000 RTP/AVP 8\na=rtpmap:8 PCMA/8000\n"
		case strings.Contains(o, ": "):
			headers = append(headers, o)
		}
	}
	headers = append(headers, "Content-Length: "+length)
	return fmt.Sprintf("<send%s><![CDATA[\n\n%s\n%s\n\n%s\n]]></send>", attributes, first, strings.Join(headers, "\n"), body)
}

// option returns the value of an option, or what it is without.
func option(options []string, key, otherwise string) string {
	for _, o := range options {
		if value, ok := strings.CutPrefix(o, key+"="); ok {
			return value
		}
	}
	return otherwise
}

const (
	// The host is that of the gateway, or of what stands before it.
	calledURI = "sip:[service]@[remote_ip]:[remote_port]"
	contact   = "Contact: <sip:sipp@[local_ip]:[local_port];transport=[transport]>"
	callerTag = ";tag=[pid]c[call_number]"
)

func (s *scenario) invite(options ...string) string {
	return send(append(options, "retrans"), "INVITE "+calledURI+" SIP/2.0", s.opening("INVITE", contact)...)
}

func (s *scenario) cancel(options ...string) string {
	return send(append(options, "retrans"), "CANCEL "+calledURI+" SIP/2.0", s.opening("CANCEL")...)
}

// opening is what the requests before there is a dialog have.
func (s *scenario) opening(method string, more ...string) []string {
	return append([]string{
		"Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=" + s.branch("INVITE", 1),
		"From: Alice <sip:alice@caller.example>" + callerTag,
		"To: <" + calledURI + ">",
		"Call-ID: [call_id]",
		"CSeq: 1 " + method,
		"Max-Forwards: 70",
	}, more...)
}

func (s *scenario) refused(seq int) string {
	h := s.inDialog("ACK", seq, "peer")
	h[0] = "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=" + s.branch("INVITE", seq)
	if seq == 1 && s.side == "caller" {
		return send(nil, "ACK "+calledURI+" SIP/2.0", h...)
	}
	return send(nil, "ACK [next_url] SIP/2.0", h...)
}

func (s *scenario) request(method string, seq int, options ...string) string {
	h := s.inDialog(method, seq, option(options, "to", "peer"))
	switch method {
	case "INVITE", "UPDATE", "SUBSCRIBE":
		h = append(h, contact)
	}
	if tag := option(options, "tag", ""); tag != "" {
		h[1] = strings.Replace(h[1], answererTag(""), answererTag(tag), 1)
	}
	if method != "ACK" {
		options = append(options, "retrans")
	}
	return send(options, method+" [next_url] SIP/2.0", h...)
}

// inDialog is what the requests in a dialog have, towards the To of a response that was kept under a name.
func (s *scenario) inDialog(method string, seq int, to string) []string {
	h := []string{
		"Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=" + s.branch(method, seq),
		"From: Alice <sip:alice@caller.example>" + callerTag,
		"To:[$" + to + "]",
		"Call-ID: [call_id]",
		fmt.Sprintf("CSeq: %d %s", seq, method),
		"Max-Forwards: 70",
	}
	if s.side != "caller" {
		h[1] = "From:[$invite_to]" + answererTag("")
		h[2] = "To:[$invite_from]"
	}
	return h
}

// answererTag is the tag that an answerer gives to the dialog, or to one of several.
func answererTag(which string) string { return ";tag=[pid]a" + which + "[call_number]" }

func (s *scenario) reply(status, name string, options ...string) string {
	tag := ""
	if name == "invite" {
		tag = answererTag(option(options, "tag", ""))
	}
	h := []string{
		"Via:[$" + name + "_via]", "From:[$" + name + "_from]", "To:[$" + name + "_to]" + tag,
		"Call-ID: [call_id]", "CSeq:[$" + name + "_cseq]",
	}
	if name == "invite" || slices.Contains(options, "contact") {
		h = append(h, contact)
	}
	return send(options, "SIP/2.0 "+status, h...)
}

func (s *scenario) want(code, method string, options ...string) string {
	actions := s.match("CSeq: [0-9]+ "+method, options)
	attributes := `response="` + code + `"`
	if code != "100" {
		to := option(options, "as", "peer")
		actions += s.keep("To", to)
		if other := option(options, "not", ""); other != "" {
			attributes += ` next="fail" test="` + s.compare(&actions, to, other, "equal") + `"`
		}
		if other := option(options, "same", ""); other != "" {
			attributes += ` next="fail" test="` + s.compare(&actions, to, other, "not_equal") + `"`
		}
	}
	return receive(attributes, method == "INVITE" && code[0] < '3' && code != "100", options, actions)
}

// compare adds the comparison of two variables to actions, and returns the variable that is set when the strings are
// equal, or not equal.
func (s *scenario) compare(actions *string, a, b, how string) string {
	s.checks++
	order, is := fmt.Sprintf("order%d", s.checks), fmt.Sprintf("check%d", s.checks)
	s.variables = append(s.variables, order, is)
	*actions += fmt.Sprintf("\n<strcmp assign_to=%q variable=%q variable2=%q/>\n<test assign_to=%q variable=%q compare=%q value=\"0\"/>",
		order, a, b, is, order, how)
	return is
}

func (s *scenario) get(method, name string, options ...string) string {
	actions := s.match("", options)
	for _, header := range []string{"Via", "From", "To", "CSeq"} {
		actions += s.keep(header, name+"_"+strings.ToLower(header))
	}
	return receive(`request="`+method+`"`, name == "invite", options, actions)
}

// receive is a message that SIPp waits for. With target, its Contact is where requests go from then on.
func receive(what string, target bool, options []string, actions string) string {
	if target {
		what += ` rrs="true"`
	}
	if slices.Contains(options, "optional") {
		what += ` optional="true"`
	}
	return fmt.Sprintf("<recv %s><action>%s</action></recv>", what, actions)
}

// match is the checks of a message: a header first, and those that the options name.
func (s *scenario) match(first string, options []string) string {
	text := ""
	for _, o := range append([]string{first}, options...) {
		name, regexp, header := strings.Cut(o, ": ")
		switch key, value, _ := strings.Cut(o, "="); {
		case o == "empty":
			text += s.ereg(`search_in="hdr" header="Content-Length:"`, "^ *0", true, "")
		case key == "sdp":
			text += s.ereg(`search_in="body"`, "o=- 1 "+value+" IN", true, "")
		case header:
			text += s.ereg(`search_in="hdr" header="`+name+`:"`, regexp, true, "")
		}
	}
	return text
}

// keep keeps a header's value in a variable.
func (s *scenario) keep(header, variable string) string {
	return s.ereg(`search_in="hdr" header="`+header+`:"`, ".*", true, variable)
}

func (s *scenario) ereg(where, regexp string, check bool, variable string) string {
	if variable == "" {
		s.checks++
		variable = "check" + strconv.Itoa(s.checks)
	}
	if !slices.Contains(s.variables, variable) {
		s.variables = append(s.variables, variable)
	}
	return fmt.Sprintf("\n<ereg regexp=\"%s\" %s check_it=\"%t\" assign_to=\"%s\"/>", regexp, where, check, variable)
}
