// A worker in Go, over the JSON functions of the work protocol, with github.com/lib/pq or any other driver.
//
//	DATABASE_URL=postgres://... go run worker.go
//
// One call per round reports what has finished and claims the next tasks, which run concurrently. A goroutine renews their leases and
// stores how far they have got; a task whose result no longer matters has its context cancelled. SIGTERM drains: nothing new is
// claimed, what runs is finished and reported.
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
	"sync"
	"syscall"
	"time"

	"github.com/lib/pq"
)

// Task is a claimed task. The traceparent, if there is one, belongs into the headers of calls to others.
type Task struct {
	Task        string          `json:"task"`
	LeaseToken  string          `json:"lease_token"`
	Action      string          `json:"action"`
	Input       json.RawMessage `json:"input"`
	Attempt     int             `json:"attempt"`
	Progress    json.RawMessage `json:"progress"`
	Traceparent *string         `json:"traceparent"`
	note        json.RawMessage
	cancel      context.CancelFunc
}

type outcome struct {
	Task       string         `json:"task"`
	LeaseToken string         `json:"lease_token"`
	Status     string         `json:"status"`
	Result     any            `json:"result,omitempty"`
	Error      map[string]any `json:"error,omitempty"`
}

// A handler returns the result. It may set task.note under lock to say how far it has got.
var handlers = map[string]func(context.Context, *Task) (any, error){
	"ci.lint": func(context.Context, *Task) (any, error) { return map[string]int{"warnings": 0}, nil },
	"demo.echo": func(_ context.Context, task *Task) (any, error) {
		return map[string]any{"input": task.Input, "traceparent": task.Traceparent}, nil
	},
}

const (
	most  = 8
	lease = 30 * time.Second
)

var (
	lock    sync.Mutex
	running = map[*Task]bool{}
	outbox  []outcome
)

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
	if _, bad := json.Marshal(result); err == nil {
		err = bad
	}
	if err != nil {
		done.Status, done.Error = "failed", map[string]any{"type": fmt.Sprintf("%T", err), "message": err.Error()}
		if errors.Is(err, context.Canceled) {
			done.Status = "cancelled"
		}
	} else {
		done.Result = result
	}
	lock.Lock()
	defer lock.Unlock()
	if running[task] { // else the lease is lost
		delete(running, task)
		outbox = append(outbox, done)
	}
}

// exchange reports, and claims unless the worker drains. It returns whether there was anything.
func exchange(db *sql.DB, name string, draining bool) (bool, error) {
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
		actions := make([]string, 0, len(handlers))
		for action := range handlers {
			actions = append(actions, action)
		}
		call := "SELECT workflow_finish_and_claim_json($1, $2, $3, $4, make_interval(secs => $5))"
		err = db.QueryRow(call, name, reports, room, pq.Array(actions), lease.Seconds()).Scan(&answer)
	case len(sent) > 0:
		err = db.QueryRow("SELECT jsonb_build_object('answers', workflow_finish_json($1))", reports).Scan(&answer)
	default:
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var said struct{ Tasks []*Task }
	if err := json.Unmarshal(answer, &said); err != nil {
		return false, err
	}
	lock.Lock()
	defer lock.Unlock()
	outbox = outbox[len(sent):]
	for _, task := range said.Tasks {
		var ctx context.Context
		ctx, task.cancel = context.WithCancel(context.Background())
		running[task] = true
		go handle(ctx, task)
	}
	return len(sent)+len(said.Tasks) > 0, nil
}

// renew extends the leases of what runs.
func renew(db *sql.DB) error {
	lock.Lock()
	var held []*Task
	var tasks, tokens []string
	var notes []sql.NullString
	for task := range running {
		held, tasks, tokens = append(held, task), append(tasks, task.Task), append(tokens, task.LeaseToken)
		notes = append(notes, sql.NullString{String: string(task.note), Valid: task.note != nil})
	}
	lock.Unlock()
	call := "SELECT state FROM workflow_heartbeat($1, $2, make_interval(secs => $3), $4::text[]::jsonb[])"
	rows, err := db.Query(call, pq.Array(tasks), pq.Array(tokens), lease.Seconds(), pq.Array(notes))
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

func main() {
	db, err := sql.Open("postgres", os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	stop, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	go func() {
		for range time.Tick(lease / 3) {
			if err := renew(db); err != nil {
				log.Print(err)
			}
		}
	}()
	for {
		draining := stop.Err() != nil
		busy, err := exchange(db, fmt.Sprintf("go %d", os.Getpid()), draining)
		if err != nil {
			log.Print(err) // reports that may not have arrived are sent again, and get the same answer
		}
		lock.Lock()
		idle := len(running)+len(outbox) == 0
		lock.Unlock()
		if draining && idle {
			return
		}
		if !busy {
			if _, err := db.Exec("SELECT workflow_tick()"); err != nil {
				log.Print(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
}
