// A worker in Go, over the JSON functions of the work protocol, with github.com/lib/pq.
//
//	DATABASE_URL=postgres://... go run worker.go
//
// One call per round reports what has finished and claims the next tasks, which run concurrently. A goroutine renews their leases and
// stores their progress; if the result of a task no longer matters, its context is cancelled. While there is nothing to do, a
// separate session announces that and listens, so that tasks are found as soon as they are queued. SIGTERM or SIGINT drains: nothing
// new is claimed, and running tasks are finished and reported. A second signal ends the worker at once.
//
// Settings: WORKER_LEASE in seconds (30).
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/lib/pq"
)

// Task is a claimed task. Progress is what an earlier attempt noted. The traceparent, if there is one, belongs in the headers of calls
// to other services.
type Task struct {
	Task        string          `json:"task"`
	LeaseToken  string          `json:"lease_token"`
	Action      string          `json:"action"`
	Input       json.RawMessage `json:"input"`
	Attempt     int             `json:"attempt"`
	Progress    json.RawMessage `json:"progress"`
	Traceparent *string         `json:"traceparent"`
	noted       json.RawMessage
	cancel      context.CancelFunc
}

// Note records the handler's progress. The next heartbeat stores it, and so does the report of a failure; the next attempt finds it in
// Progress.
func (task *Task) Note(progress any) {
	noted, err := json.Marshal(progress)
	if err != nil {
		panic(err)
	}
	lock.Lock()
	defer lock.Unlock()
	task.noted = noted
}

type outcome struct {
	Task       string          `json:"task"`
	LeaseToken string          `json:"lease_token"`
	Status     string          `json:"status"`
	Result     any             `json:"result,omitempty"`
	Error      map[string]any  `json:"error,omitempty"`
	Progress   json.RawMessage `json:"progress,omitempty"`
}

// A handler returns the result.
var handlers = map[string]func(context.Context, *Task) (any, error){
	"ci.lint": func(context.Context, *Task) (any, error) { return map[string]int{"warnings": 0}, nil },
	"demo.echo": func(_ context.Context, task *Task) (any, error) {
		return map[string]any{"input": task.Input, "traceparent": task.Traceparent}, nil
	},
	"demo.wait": wait,
}

// wait is long work: it heeds its context, records its progress, and continues where an earlier attempt left off.
func wait(ctx context.Context, task *Task) (any, error) {
	var input, done struct {
		Seconds int `json:"seconds"`
	}
	if err := json.Unmarshal(task.Input, &input); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(task.Progress, &done); err != nil {
		return nil, err
	}
	for done.Seconds < input.Seconds {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
		done.Seconds++
		task.Note(done)
	}
	return map[string]int{"waited": input.Seconds}, nil
}

const most = 8 // tasks at once

var (
	name  = fmt.Sprintf("go %d", os.Getpid())
	lease = setting("WORKER_LEASE", 30)
	wake  = make(chan struct{}, 1) // there may be work, or something to report
	nul   = regexp.MustCompile(`(^|[^\\])(\\\\)*\\u0000`)

	lock    sync.Mutex // guards the two below, and what tasks have noted
	running = map[*Task]bool{}
	outbox  []outcome
)

func actions() []string {
	names := make([]string, 0, len(handlers))
	for action := range handlers {
		names = append(names, action)
	}
	return names
}

func poke() {
	select {
	case wake <- struct{}{}:
	default: // woken already
	}
}

func handle(ctx context.Context, task *Task) {
	done := outcome{Task: task.Task, LeaseToken: task.LeaseToken, Status: "completed"}
	result, err := func() (result any, err error) {
		defer func() {
			if panicked := recover(); panicked != nil {
				err = fmt.Errorf("panic: %v", panicked)
			}
		}()
		return handlers[task.Action](ctx, task)
	}()
	encoded, bad := json.Marshal(result)
	if err == nil {
		err = bad
	}
	// What PostgreSQL cannot store must not spoil the reports beside it.
	if err == nil && nul.Match(encoded) {
		err = errors.New("the result contains a NUL character")
	}
	if err != nil {
		message := strings.ReplaceAll(err.Error(), "\x00", "\ufffd")
		done.Status, done.Error = "failed", map[string]any{"type": fmt.Sprintf("%T", err), "message": message}
		if errors.Is(err, context.Canceled) {
			done.Status = "cancelled"
		}
	} else {
		done.Result = result
	}
	lock.Lock()
	defer lock.Unlock()
	if done.Status != "completed" {
		done.Progress = task.noted
	}
	if running[task] { // else the lease is lost
		delete(running, task)
		outbox = append(outbox, done)
	}
	poke()
}

// exchange reports, and claims unless the worker drains. It returns whether there was anything.
func exchange(db *sql.DB, draining bool) (bool, error) {
	lock.Lock()
	sent, room := outbox, most-len(running)
	lock.Unlock()
	if draining {
		room = 0
	}
	reports, err := json.Marshal(append([]outcome{}, sent...))
	if err != nil {
		return false, err
	}
	var answer []byte
	switch {
	case room > 0:
		call := "SELECT workflow_finish_and_claim_json($1, $2, $3, $4, make_interval(secs => $5))"
		err = db.QueryRow(call, name, reports, room, pq.Array(actions()), lease.Seconds()).Scan(&answer)
	case len(sent) > 0:
		err = db.QueryRow("SELECT jsonb_build_object('answers', workflow_finish_json($1))", reports).Scan(&answer)
	default:
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var said struct {
		Tasks   []*Task
		Answers []struct{ Code, Message string }
	}
	if err := json.Unmarshal(answer, &said); err != nil {
		return false, err
	}
	lock.Lock()
	defer lock.Unlock()
	outbox = outbox[len(sent):]
	for place, answer := range said.Answers {
		report := sent[place]
		if answer.Code != "" {
			log.Print(report.Task, " ", answer.Code, ": ", answer.Message)
		}
		// A result that is refused would be refused each time that the task is executed.
		if (answer.Code == "WF613" || answer.Code == "WF614") && report.Error == nil {
			failure := map[string]any{"type": "report", "message": answer.Message}
			outbox = append(outbox, outcome{Task: report.Task, LeaseToken: report.LeaseToken, Status: "failed", Error: failure})
		}
	}
	for _, task := range said.Tasks {
		var ctx context.Context
		ctx, task.cancel = context.WithCancel(context.Background())
		running[task] = true
		go handle(ctx, task)
	}
	return len(sent)+len(said.Tasks) > 0, nil
}

// renew extends the leases of running tasks.
func renew(db *sql.DB) error {
	lock.Lock()
	var held []*Task
	var tasks, tokens []string
	var notes []sql.NullString
	for task := range running {
		held, tasks, tokens = append(held, task), append(tasks, task.Task), append(tokens, task.LeaseToken)
		notes = append(notes, sql.NullString{String: string(task.noted), Valid: task.noted != nil})
	}
	lock.Unlock()
	call := "SELECT state FROM workflow_heartbeat($1, $2, make_interval(secs => $3), $4::text[]::jsonb[])"
	rows, err := db.Query(call, pq.Array(tasks), pq.Array(tokens), lease.Seconds(), pq.Array(notes))
	var refused *pq.Error
	if errors.As(err, &refused) {
		// Progress that PostgreSQL cannot store must not cost the tasks their leases.
		log.Print(refused)
		lock.Lock()
		for _, task := range held {
			task.noted = nil
		}
		lock.Unlock()
		rows, err = db.Query(call, pq.Array(tasks), pq.Array(tokens), lease.Seconds(), nil)
	}
	if err != nil {
		return err
	}
	defer rows.Close()
	for place := 0; rows.Next(); place++ {
		var state string
		if err := rows.Scan(&state); err != nil {
			return err
		}
		if state != "held" {
			held[place].cancel()
		}
		if state == "lost" {
			lock.Lock()
			delete(running, held[place])
			lock.Unlock()
		}
	}
	return rows.Err()
}

// ear is a session that announces that the worker is idle, and is notified of tasks as they are queued.
type ear struct {
	session   *pq.ListenerConn
	announced bool
	hinted    atomic.Bool
	quiet     time.Time // when to announce again at the earliest
}

func (e *ear) open() error {
	hints := make(chan *pq.Notification)
	session, err := pq.NewListenerConn(os.Getenv("DATABASE_URL"), hints)
	if err != nil {
		return err
	}
	go func() {
		for range hints {
			e.hinted.Store(true)
			poke()
		}
		poke() // the session is lost
	}()
	if _, err := session.Listen("pg_workflow"); err != nil {
		session.Close()
		return err
	}
	e.session, e.announced = session, false
	return nil
}

// announce announces that the worker is idle, unless it already has. It returns whether to look for tasks queued before that.
func (e *ear) announce() (bool, error) {
	if e.session == nil {
		if err := e.open(); err != nil {
			return false, err
		}
	}
	if e.hinted.Swap(false) {
		// Longer than the server withholds a hint that it has just sent.
		e.quiet = time.Now().Add(12 * time.Millisecond)
		if err := e.say([]string{}); err != nil {
			return false, err
		}
		e.announced = false
		return true, nil
	}
	if e.announced {
		return false, e.session.Err()
	}
	time.Sleep(time.Until(e.quiet))
	if err := e.say(actions()); err != nil {
		return false, err
	}
	e.announced = true
	return true, nil
}

func (e *ear) close() {
	if e.session != nil {
		e.session.Close()
	}
	e.session = nil
}

func (e *ear) say(idle []string) error {
	list, err := pq.Array(idle).Value()
	if err == nil {
		_, err = e.session.ExecSimpleQuery("SELECT workflow_announce_idle(" + pq.QuoteLiteral(fmt.Sprint(list)) + ")")
	}
	return err
}

func setting(name string, otherwise float64) time.Duration {
	seconds := otherwise
	if given := os.Getenv(name); given != "" {
		var err error
		if seconds, err = strconv.ParseFloat(given, 64); err != nil {
			log.Fatalf("%s is not a number of seconds: %s", name, given)
		}
	}
	return time.Duration(seconds * float64(time.Second))
}

func main() {
	db, err := sql.Open("postgres", os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	stop, restore := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-stop.Done()
		restore() // the next signal ends the process
		poke()
	}()
	go func() {
		for range time.Tick(lease / 3) {
			if err := renew(db); err != nil {
				log.Print(err)
			}
		}
	}()
	var listening ear
	for {
		draining := stop.Err() != nil
		busy, err := exchange(db, draining)
		if err != nil {
			log.Print(err) // reports that may not have arrived are sent again, and get the same answer
			time.Sleep(500 * time.Millisecond)
			continue
		}
		lock.Lock()
		held := len(running)
		done := held+len(outbox) == 0
		lock.Unlock()
		if draining && done {
			return
		}
		if busy {
			continue
		}
		if !draining && held < most {
			look, err := listening.announce()
			if err != nil {
				log.Print(err)
				listening.close()
			}
			if look {
				continue
			}
		}
		select {
		case <-wake:
		case <-time.After(time.Second):
			if _, err := db.Exec("SELECT workflow_tick()"); err != nil {
				log.Print(err)
			}
		}
	}
}
