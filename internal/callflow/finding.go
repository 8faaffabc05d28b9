package callflow

// Severity says how much a finding matters.
type Severity string

// The severities, the gravest first.
const (
	Problem Severity = "problem" // something did not work
	Warning Severity = "warning" // it worked, and is about to fail or fails for others
	Hint    Severity = "hint"    // worth knowing
)

// A Finding is one thing that is wrong with a flow, or soon will be, in words for a person who has to mend it.
type Finding struct {
	Code      string   `json:"code"` // its row in the table of checks
	Severity  Severity `json:"severity"`
	Sentence  string   `json:"sentence"`            // what is wrong, with names and figures of this flow
	Rows      []int    `json:"rows"`                // numbers of the rows that show it, the first one first; never empty
	Remedy    string   `json:"remedy"`              // what to do
	Reference string   `json:"reference,omitempty"` // "RFC 3261 §13.3.1.4"
}

// A Relation ties a flow to another that is not the same call: a transfer, a pickup, a forward (RFC 3891, RFC 4538, RFC 7044).
type Relation struct {
	Kind string `json:"kind"` // "transferred to", "replaces", and so on
	Flow string `json:"flow"` // id of the other
	Row  int    `json:"row"`  // the row that tells
}
