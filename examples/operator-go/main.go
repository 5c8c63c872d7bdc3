// Command operator-go is an ordinary operator, built on controller-runtime with its defaults. To each ConfigMap with
// the label example.com/source=true it applies an annotation with a digest of the data. It writes down what it sees
// and does, one JSON object a line, so that anybody can check who worked on what.
package main

import (
	"flag"
	"os"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
)

const sourceLabel = "example.com/source"

func main() {
	var recordsPath, leaseName, leaseNamespace, metricsAddress, healthAddress string
	flag.StringVar(&recordsPath, "records", "-", "file that records are appended to; - is standard output")
	flag.StringVar(&leaseName, "leader-election-id", "operator-go", "name of the lease")
	flag.StringVar(&leaseNamespace, "leader-election-namespace", os.Getenv("POD_NAMESPACE"), "namespace of the lease; empty: the pod's own")
	flag.StringVar(&metricsAddress, "metrics-bind-address", ":8080", "address of the metrics; 0: none")
	flag.StringVar(&healthAddress, "health-probe-bind-address", ":8081", "address of /healthz and /readyz")
	flag.Parse()
	ctrl.SetLogger(zap.New())
	if err := run(recordsPath, ctrl.Options{
		LeaderElection:          true,
		LeaderElectionID:        leaseName,
		LeaderElectionNamespace: leaseNamespace,
		Metrics:                 metricsserver.Options{BindAddress: metricsAddress},
		HealthProbeBindAddress:  healthAddress,
	}); err != nil {
		ctrl.Log.Error(err, "the operator ends")
		os.Exit(1)
	}
}

func run(recordsPath string, options ctrl.Options) error {
	records, err := openRecords(recordsPath)
	if err != nil {
		return err
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	manager, err := ctrl.NewManager(config, options)
	if err != nil {
		return err
	}
	if err := manager.AddReadyzCheck("ping", healthz.Ping); err != nil {
		return err
	}
	isSource := predicate.NewPredicateFuncs(func(object client.Object) bool {
		return object.GetLabels()[sourceLabel] == "true"
	})
	err = ctrl.NewControllerManagedBy(manager).
		Named("digest").
		Watches(&corev1.ConfigMap{}, records.handler(), builder.WithPredicates(isSource)).
		Complete(&digestReconciler{client: manager.GetClient(), records: records})
	if err != nil {
		return err
	}
	records.write(record{Event: "started"})
	return manager.Start(ctrl.SetupSignalHandler())
}
