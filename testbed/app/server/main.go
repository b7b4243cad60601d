// Server is the release under test: a small HTTP service that misbehaves exactly as its environment says.
//
// Paths: / answers (and misbehaves), /healthz says whether it is ready, /livez whether it is alive, /version its VERSION,
// /state what it is doing as JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

type service struct {
	faults   faults
	started  time.Time
	requests atomic.Int64
	failed   atomic.Int64
	held     [][]byte // what LEAK_MB_PER_S and USE_MB have taken, kept so that it is not collected
}

func main() {
	log.SetFlags(log.LstdFlags | log.Lmicroseconds | log.LUTC)
	faults, err := readFaults(os.LookupEnv)
	if err != nil {
		log.Fatalf("configuration: %v", err)
	}
	s := &service{faults: faults, started: time.Now()}
	s.misbehaveAtStart()
	go s.misbehaveLater()
	s.serve()
}

// misbehaveAtStart does what must happen before the port is open.
func (s *service) misbehaveAtStart() {
	for _, line := range s.faults.logLines {
		fmt.Println(line)
	}
	for _, line := range s.faults.errorLines {
		fmt.Fprintln(os.Stderr, line)
	}
	for _, path := range s.faults.needFiles {
		if _, err := os.ReadFile(path); err != nil {
			log.Fatalf("fatal: cannot read configuration: %v", err)
		}
	}
	for _, name := range s.faults.needEnv {
		if os.Getenv(name) == "" {
			log.Fatalf("fatal: environment variable %s is required", name)
		}
	}
	if s.faults.onceFile != "" && firstTime(s.faults.onceFile) {
		log.Fatalf("fatal: first start of this pod fails, the next one will not (marker %s)", s.faults.onceFile)
	}
	if s.faults.exitAtStart >= 0 {
		log.Printf("exiting at start with code %d", s.faults.exitAtStart)
		os.Exit(s.faults.exitAtStart)
	}
	time.Sleep(s.faults.startDelay)
	s.hold(s.faults.useMB)
}

// firstTime makes a marker file and says whether it was missing: one flaky start per volume that outlives a container.
func firstTime(path string) bool {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return false
	}
	file.Close()
	return true
}

func (s *service) misbehaveLater() {
	if s.faults.exitAfter > 0 {
		time.AfterFunc(s.faults.exitAfter, func() {
			log.Printf("fatal: exiting after %s with code %d", s.faults.exitAfter, s.faults.exitCode)
			os.Exit(s.faults.exitCode)
		})
	}
	if s.faults.leakMBPerS <= 0 {
		return
	}
	for range time.Tick(100 * time.Millisecond) {
		s.hold(s.faults.leakMBPerS / 10)
	}
}

// hold takes memory and writes to every page, since untouched memory does not count.
func (s *service) hold(megabytes float64) {
	block := make([]byte, int(megabytes*(1<<20)))
	for i := 0; i < len(block); i += 4096 {
		block[i] = 1
	}
	s.held = append(s.held, block)
}

func (s *service) serve() {
	routes := http.NewServeMux()
	routes.HandleFunc("/", s.answer)
	routes.HandleFunc("/healthz", s.ready)
	routes.HandleFunc("/livez", s.alive)
	routes.HandleFunc("/version", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, s.faults.version) })
	routes.HandleFunc("/state", s.state)
	server := &http.Server{Handler: routes, ReadHeaderTimeout: 10 * time.Second}
	listener, err := net.Listen("tcp", ":"+s.faults.port)
	if err != nil {
		log.Fatalf("fatal: %v", err)
	}
	log.Printf("version %s listens on port %s", s.faults.version, s.faults.port)
	ended := make(chan struct{})
	go s.waitForSignal(server, ended)
	if err := server.Serve(listener); err != http.ErrServerClosed {
		log.Fatalf("fatal: %v", err)
	}
	<-ended
}

// waitForSignal ends as SIGTERM says: politely (the default), at once, or not at all.
func (s *service) waitForSignal(server *http.Server, ended chan<- struct{}) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	for range signals {
		switch s.faults.onTerm {
		case "ignore":
			log.Print("SIGTERM ignored")
		case "exit":
			log.Print("SIGTERM: exiting at once")
			os.Exit(s.faults.termCode)
		default:
			log.Printf("SIGTERM: serving on for %s, then draining", s.faults.termDelay)
			time.Sleep(s.faults.termDelay)
			drain, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			if err := server.Shutdown(drain); err != nil {
				log.Printf("drain: %v", err)
			}
			cancel()
			close(ended)
			return
		}
	}
}

func (s *service) answer(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	if r.URL.Path != "/" {
		http.NotFound(w, r)
		return
	}
	if s.faults.latency > 0 {
		time.Sleep(s.faults.latency)
	}
	w.Header().Set("X-Version", s.faults.version)
	status := s.faults.status
	if s.faults.errorPercent > 0 && rand.Float64()*100 < s.faults.errorPercent {
		status = http.StatusInternalServerError
	}
	if status >= 500 {
		s.failed.Add(1)
		log.Printf("error: %s %s answered %d: %s", r.Method, r.URL.Path, status, s.faults.errorText)
	}
	w.WriteHeader(status)
	fmt.Fprintf(w, "hello from %s\n", s.faults.version)
}

func (s *service) ready(w http.ResponseWriter, _ *http.Request) {
	if s.faults.neverReady || time.Since(s.started) < s.faults.readyAfter {
		http.Error(w, "not ready yet", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (s *service) alive(w http.ResponseWriter, _ *http.Request) {
	if s.faults.unliveAfter > 0 && time.Since(s.started) > s.faults.unliveAfter {
		http.Error(w, "not alive any more", http.StatusInternalServerError)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (s *service) state(w http.ResponseWriter, _ *http.Request) {
	name, _ := os.Hostname()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"version": s.faults.version, "host": name, "uptime_s": time.Since(s.started).Seconds(),
		"requests": s.requests.Load(), "failed": s.failed.Load(),
	})
}
