package main

import (
	"encoding/json"
	"net/http/httptest"
	"testing"
)

func TestTheDoorIsOnLoopbackAlone(t *testing.T) {
	for _, at := range []string{"0.0.0.0:0", "192.0.2.1:6060", ":6060", "localhost:6060", ""} {
		if err := openDoor(at); err == nil {
			t.Errorf("%q: a door is open", at)
		}
	}
	if err := openDoor("127.0.0.1:0"); err != nil {
		t.Error(err)
	}
}

func TestPages(t *testing.T) {
	ask := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		pages().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w
	}
	w := ask("/memory")
	var m memory
	if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil || m.Heap == 0 || m.Goroutines == 0 {
		t.Errorf("%s: %+v, %v", w.Body, m, err)
	}
	for _, path := range []string{"/debug/pprof/profile?seconds=1", "/debug/pprof/heap"} {
		if w := ask(path); w.Code != 200 || w.Body.Len() == 0 {
			t.Errorf("%s: %d with %d bytes", path, w.Code, w.Body.Len())
		}
	}
}
