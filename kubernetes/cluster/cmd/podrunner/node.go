package main

import (
	"context"
	"fmt"
	"log"
	"sync"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

type node struct {
	client *kubernetes.Clientset
	folder string
	mutex  sync.Mutex
	pods   map[types.UID]*pod
	number int
}

func (n *node) register() error {
	ctx := context.Background()
	object := &core.Node{ObjectMeta: meta.ObjectMeta{Name: nodeName, Labels: map[string]string{"kubernetes.io/hostname": nodeName}}}
	created, err := n.client.CoreV1().Nodes().Create(ctx, object, meta.CreateOptions{})
	if errors.IsAlreadyExists(err) {
		created, err = n.client.CoreV1().Nodes().Get(ctx, nodeName, meta.GetOptions{})
	}
	if err != nil {
		return err
	}
	created.Status.Conditions = []core.NodeCondition{{Type: core.NodeReady, Status: core.ConditionTrue, Reason: "KubeletReady",
		LastHeartbeatTime: meta.Now(), LastTransitionTime: meta.Now()}}
	created.Status.Addresses = []core.NodeAddress{{Type: core.NodeInternalIP, Address: "127.0.0.1"}}
	created.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(*port)
	_, err = n.client.CoreV1().Nodes().UpdateStatus(ctx, created, meta.UpdateOptions{})
	return err
}

func (n *node) observe(object *core.Pod) {
	switch {
	case object.DeletionTimestamp != nil:
		go n.end(object)
	case object.Spec.NodeName == "":
		go n.bind(object)
	case object.Spec.NodeName == nodeName && object.Status.Phase != core.PodFailed && object.Status.Phase != core.PodSucceeded:
		n.mutex.Lock()
		defer n.mutex.Unlock()
		if _, known := n.pods[object.UID]; known {
			return
		}
		n.number++
		started := &pod{namespace: object.Namespace, name: object.Name, number: n.number,
			address: fmt.Sprintf("%s.%d.%d", *network, 1+n.number/250, 1+n.number%250)}
		n.pods[object.UID] = started
		go n.run(started, object.DeepCopy())
	}
}

func (n *node) bind(object *core.Pod) {
	binding := &core.Binding{ObjectMeta: meta.ObjectMeta{Name: object.Name, Namespace: object.Namespace, UID: object.UID},
		Target: core.ObjectReference{Kind: "Node", Name: nodeName}}
	err := n.client.CoreV1().Pods(object.Namespace).Bind(context.Background(), binding, meta.CreateOptions{})
	if err != nil && !errors.IsNotFound(err) && !errors.IsConflict(err) {
		log.Printf("bind %s/%s: %v", object.Namespace, object.Name, err)
	}
}

func (n *node) end(object *core.Pod) {
	n.stop(object.UID)
	now := int64(0)
	err := n.client.CoreV1().Pods(object.Namespace).Delete(context.Background(), object.Name,
		meta.DeleteOptions{GracePeriodSeconds: &now, Preconditions: &meta.Preconditions{UID: &object.UID}})
	if err != nil && !errors.IsNotFound(err) && !errors.IsConflict(err) {
		log.Printf("delete %s/%s: %v", object.Namespace, object.Name, err)
	}
}

func (n *node) stop(uid types.UID) {
	n.mutex.Lock()
	running := n.pods[uid]
	n.mutex.Unlock()
	if running == nil {
		return
	}
	running.mutex.Lock()
	defer running.mutex.Unlock()
	if running.stopped {
		return
	}
	running.stopped = true
	if running.process != nil {
		running.process.Process.Kill()
	}
}
