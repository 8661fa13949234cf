// Command podrunner is a kubelet without containers: it runs the pods of a test as plain processes, each in a
// network namespace of its own with the pod's address, so that a manifest's ports mean what they say.
//
//	podrunner -kubeconfig FILE -image REPOSITORY=EXECUTABLE ... [-bridge br0] [-network 10.88] [-port 28250]
//
// It is both scheduler (every pod goes to its node) and kubelet (status, volumes of Secrets and ConfigMaps,
// fieldRef variables, logs). Only the first container of a pod runs. A pod whose image is not named with -image
// runs nothing and is reported ready. Run it as root inside a network namespace that has the bridge.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

const nodeName = "podrunner"

type images map[string]string

func (i images) String() string { return fmt.Sprint(map[string]string(i)) }
func (i images) Set(text string) error {
	repository, executable, found := strings.Cut(text, "=")
	if !found {
		return fmt.Errorf("want REPOSITORY=EXECUTABLE, got %q", text)
	}
	i[repository] = executable
	return nil
}

var (
	kubeconfig  = flag.String("kubeconfig", "", "kubeconfig of a user that may do everything")
	bridge      = flag.String("bridge", "br0", "bridge that pods are attached to; it has the address NETWORK.0.1/16")
	network     = flag.String("network", "10.88", "first two octets of the pods' addresses")
	port        = flag.Int("port", 28250, "port of the log endpoint that the API server asks")
	executables = images{}

	replacements texts
)

type texts []struct{ old, new string }

func (t *texts) String() string { return fmt.Sprint(*t) }
func (t *texts) Set(text string) error {
	old, fresh, found := strings.Cut(text, "=")
	if !found {
		return fmt.Errorf("want OLD=NEW, got %q", text)
	}
	*t = append(*t, struct{ old, new string }{old, fresh})
	return nil
}

func main() {
	log.SetFlags(log.Lmicroseconds)
	flag.Var(executables, "image", "REPOSITORY=EXECUTABLE, repeatable; the image's tag is ignored")
	flag.Var(&replacements, "replace", "OLD=NEW, repeatable: a text to replace in arguments, variables and ConfigMaps")
	flag.Parse()
	configuration, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	configuration.QPS, configuration.Burst = 500, 1000
	client, err := kubernetes.NewForConfig(configuration)
	if err != nil {
		log.Fatal(err)
	}
	folder, err := os.MkdirTemp("", "podrunner-")
	if err != nil {
		log.Fatal(err)
	}
	node := &node{client: client, folder: folder, pods: map[types.UID]*pod{}}
	go node.serveLogs()
	if err := node.register(); err != nil {
		log.Fatal(err)
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { node.observe(object.(*core.Pod)) },
		UpdateFunc: func(_, object any) { node.observe(object.(*core.Pod)) },
		DeleteFunc: func(object any) {
			if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = gone.Obj
			}
			node.stop(object.(*core.Pod).UID)
		},
	})
	go node.balance()
	factory.Start(context.Background().Done())
	log.Printf("running pods as node %q, logs on port %d", nodeName, *port)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	<-signals // the processes end with this one
	os.RemoveAll(folder)
}
