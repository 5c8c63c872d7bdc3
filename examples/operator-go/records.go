package main

import (
	"context"
	"encoding/json"
	"os"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
)

// record is one line: started, what the informer told (add, update, delete), or a reconcile.
type record struct {
	Time      time.Time `json:"time"`
	Pod       string    `json:"pod"`
	Event     string    `json:"event"`
	Namespace string    `json:"namespace,omitempty"`
	Name      string    `json:"name,omitempty"`
	UID       types.UID `json:"uid,omitempty"`
}

type records struct {
	mutex sync.Mutex
	file  *os.File
	pod   string
}

func openRecords(path string) (*records, error) {
	pod, err := os.Hostname()
	if name, found := os.LookupEnv("POD_NAME"); found {
		pod, err = name, nil
	}
	if err != nil {
		return nil, err
	}
	if path == "-" {
		return &records{file: os.Stdout, pod: pod}, nil
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	return &records{file: file, pod: pod}, err
}

func (r *records) writeObject(event string, object client.Object) {
	r.write(record{Event: event, Namespace: object.GetNamespace(), Name: object.GetName(), UID: object.GetUID()})
}

// write appends one line; an operator that can't tell what it does ends.
func (r *records) write(entry record) {
	entry.Time, entry.Pod = time.Now().UTC(), r.pod
	line, err := json.Marshal(entry)
	if err != nil {
		panic(err)
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if _, err := r.file.Write(append(line, '\n')); err != nil {
		panic(err)
	}
}

type queue = workqueue.TypedRateLimitingInterface[ctrl.Request]

// handler writes each event down and queues the object.
func (r *records) handler() handler.EventHandler {
	next := &handler.EnqueueRequestForObject{}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) {
			r.writeObject("add", e.Object)
			next.Create(ctx, e, q)
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) {
			r.writeObject("update", e.ObjectNew)
			next.Update(ctx, e, q)
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) {
			r.writeObject("delete", e.Object)
			next.Delete(ctx, e, q)
		},
		GenericFunc: func(ctx context.Context, e event.GenericEvent, q queue) {
			next.Generic(ctx, e, q)
		},
	}
}
