package tlswire

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// loadTrace reads one of the traces that RFC 8448 prints.
func loadTrace(t testing.TB, name string) transcript {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	tr := transcript{secret: map[string][]byte{}}
	for line := range strings.Lines(string(b)) {
		label, value, _ := strings.Cut(strings.TrimRight(line, "\n"), " ")
		switch label {
		case "#":
		case "C":
			tr.chunks = append(tr.chunks, chunk{Client, unhex(t, value)})
		case "S":
			tr.chunks = append(tr.chunks, chunk{Server, unhex(t, value)})
		case "": // the record goes on
			last := &tr.chunks[len(tr.chunks)-1]
			last.data = append(last.data, unhex(t, value)...)
		default:
			tr.secret[label] = unhex(t, value)
		}
	}
	return tr
}

func TestRFC8448(t *testing.T) {
	t.Parallel()
	tests := []struct {
		file string
		rows []string
		want State
	}{
		{"rfc8448_1rtt.txt", []string{
			"C ClientHello", "S ServerHello", "S EncryptedExtensions", "S Certificate", "S CertificateVerify", "S Finished",
			"C Finished", "S ApplicationData *", "C ApplicationData *",
		}, State{Version: "1.3", Group: "X25519", SNI: "server"}},
		{"rfc8448_0rtt.txt", []string{ // the first row of data is 0-RTT
			"C ClientHello", "C ApplicationData *", "S ServerHello", "S EncryptedExtensions", "S Finished",
			"C Finished", "S ApplicationData *",
		}, State{Version: "1.3", Group: "X25519", SNI: "server", Resumed: true}},
		{"rfc8448_hrr.txt", []string{
			"C ClientHello", "S HelloRetryRequest", "C ClientHello", "S ServerHello", "S EncryptedExtensions", "S Certificate",
			"S CertificateVerify", "S Finished", "C Finished", "C ApplicationData *", "S ApplicationData *",
		}, State{Version: "1.3", Group: "P-256", SNI: "server", HelloRetry: true}},
		{"rfc8448_mutual.txt", []string{
			"C ClientHello", "S ServerHello", "S EncryptedExtensions", "S CertificateRequest", "S Certificate",
			"S CertificateVerify", "S Finished", "C Certificate", "C CertificateVerify", "C Finished",
			"C ApplicationData *", "S ApplicationData *",
		}, State{Version: "1.3", Group: "X25519", SNI: "server", ClientCertificateRequested: true, ClientCertificateSent: true}},
		{"rfc8448_compat.txt", []string{ // dummy ChangeCipherSpecs are no steps
			"C ClientHello", "S ServerHello", "S EncryptedExtensions", "S Certificate", "S CertificateVerify", "S Finished",
			"C Finished", "C ApplicationData *", "S ApplicationData *",
		}, State{Version: "1.3", Group: "X25519", SNI: "server"}},
	}
	for _, test := range tests {
		t.Run(test.file, func(t *testing.T) {
			t.Parallel()
			tr := loadTrace(t, test.file)
			steps, got := tr.replay(true, whole)
			wantRows(t, steps, test.rows...)
			if got.Suite != "TLS_AES_128_GCM_SHA256" || got.Problem != nil || got.Finished != [2]bool{true, true} {
				t.Errorf("state %+v", got)
			}
			got = State{
				Version: got.Version, Group: got.Group, SNI: got.SNI, Resumed: got.Resumed, HelloRetry: got.HelloRetry,
				ClientCertificateRequested: got.ClientCertificateRequested, ClientCertificateSent: got.ClientCertificateSent,
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("state\n got  %+v\n want %+v", got, test.want)
			}
			again, _ := tr.replay(true, bytewise)
			if !reflect.DeepEqual(again, steps) {
				t.Errorf("bytewise: %q", rows(again))
			}
		})
	}
}
