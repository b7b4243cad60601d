package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// faults is what the environment asks for. Every name that readFaults knows is listed there, with its default.
type faults struct {
	port, version         string
	exitAtStart, exitCode int
	exitAfter             time.Duration
	startDelay            time.Duration
	readyAfter            time.Duration
	unliveAfter           time.Duration
	neverReady            bool
	status                int
	errorPercent          float64
	errorText             string
	latency               time.Duration
	leakMBPerS, useMB     float64
	onTerm                string
	termDelay             time.Duration
	termCode              int
	logLines, errorLines  []string
	needFiles, needEnv    []string
	onceFile              string
}

// readFaults returns the first value that it cannot read as an error: a typing error must not look like a healthy release.
func readFaults(lookup func(string) (string, bool)) (faults, error) {
	env := reader{lookup: lookup}
	f := faults{
		port:         env.text("PORT", "8080"),
		version:      env.text("VERSION", "1"),
		exitAtStart:  int(env.number("EXIT_AT_START", -1)),      // the exit code; -1: keep running
		exitCode:     int(env.number("EXIT_CODE", 1)),           // the code of EXIT_AFTER_S
		exitAfter:    env.seconds("EXIT_AFTER_S"),               // serve, then exit
		startDelay:   env.seconds("START_DELAY_S"),              // before the port opens
		readyAfter:   env.seconds("READY_AFTER_S"),              // /healthz is 503 until then
		neverReady:   env.number("NEVER_READY", 0) != 0,         // /healthz is 503 for ever
		unliveAfter:  env.seconds("UNLIVE_AFTER_S"),             // /livez is 500 from then on
		status:       int(env.number("STATUS", 200)),            // what / answers
		errorPercent: env.number("ERROR_PERCENT", 0),            // share of / that answers 500
		errorText:    env.text("ERROR_TEXT", "as told"),         // the message in the log beside each 5xx
		latency:      env.seconds("LATENCY_S"),                  // before / answers
		leakMBPerS:   env.number("LEAK_MB_PER_S", 0),            // memory taken for ever
		useMB:        env.number("USE_MB", 0),                   // memory taken at start
		onTerm:       env.text("ON_TERM", "drain"),              // drain, exit or ignore
		termDelay:    env.seconds("TERM_DELAY_S"),               // with drain: serve on this long first
		termCode:     int(env.number("TERM_CODE", 0)),           // with exit: the code
		logLines:     env.lines("LOG_LINES"),                    // to standard output at start, one per line
		errorLines:   env.lines("ERROR_LINES"),                  // to standard error at start
		needFiles:    strings.Fields(env.text("NEED_FILE", "")), // files without which it exits 1
		needEnv:      strings.Fields(env.text("NEED_ENV", "")),  // variables without which it exits 1
		onceFile:     env.text("FAIL_ONCE_FILE", ""),            // exit 1 if this file can be made
	}
	if env.err == nil && f.onTerm != "drain" && f.onTerm != "exit" && f.onTerm != "ignore" {
		env.err = fmt.Errorf("ON_TERM is %q: it must be drain, exit or ignore", f.onTerm)
	}
	return f, env.err
}

// reader keeps the first error, so that readFaults stays a table.
type reader struct {
	lookup func(string) (string, bool)
	err    error
}

func (r *reader) text(name, missing string) string {
	if value, set := r.lookup(name); set && value != "" {
		return value
	}
	return missing
}

func (r *reader) number(name string, missing float64) float64 {
	value := r.text(name, "")
	if value == "" {
		return missing
	}
	number, err := strconv.ParseFloat(value, 64)
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("%s is %q: it must be a number", name, value)
	}
	return number
}

func (r *reader) seconds(name string) time.Duration {
	return time.Duration(r.number(name, 0) * float64(time.Second))
}

func (r *reader) lines(name string) []string {
	value := r.text(name, "")
	if value == "" {
		return nil
	}
	return strings.Split(value, "\n")
}
