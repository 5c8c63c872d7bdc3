package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const digestAnnotation = "example.com/digest"

type digestReconciler struct {
	client  client.Client
	records *records
}

// Reconcile keeps the digest of one ConfigMap true.
func (r *digestReconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var source corev1.ConfigMap
	if err := r.client.Get(ctx, request.NamespacedName, &source); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	digest, err := digestOf(source.Data)
	if err != nil {
		return ctrl.Result{}, err
	}
	r.records.writeObject("reconcile", &source)
	if source.Annotations[digestAnnotation] == digest {
		return ctrl.Result{}, nil
	}
	// The UID keeps the request from creating what has been deleted in the meantime.
	desired := applycorev1.ConfigMap(source.Name, source.Namespace).
		WithUID(source.UID).
		WithAnnotations(map[string]string{digestAnnotation: digest})
	return ctrl.Result{}, r.client.Apply(ctx, desired, client.FieldOwner("operator-go"), client.ForceOwnership)
}

func digestOf(data map[string]string) (string, error) {
	text, err := json.Marshal(data) // with sorted keys
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}
