package main

import (
	"context"
	"log"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// balance gives each LoadBalancer Service the address of a ready pod: its ports must be the pod's ports.
func (n *node) balance() {
	ctx := context.Background()
	for ; ; time.Sleep(200 * time.Millisecond) {
		services, err := n.client.CoreV1().Services("").List(ctx, meta.ListOptions{ResourceVersion: "0"})
		if err != nil {
			continue
		}
		for _, service := range services.Items {
			if service.Spec.Type != core.ServiceTypeLoadBalancer || len(service.Status.LoadBalancer.Ingress) > 0 {
				continue
			}
			selector := labels.SelectorFromSet(service.Spec.Selector).String()
			pods, err := n.client.CoreV1().Pods(service.Namespace).List(ctx, meta.ListOptions{LabelSelector: selector, ResourceVersion: "0"})
			if err != nil || len(pods.Items) == 0 || pods.Items[0].Status.PodIP == "" {
				continue
			}
			service.Status.LoadBalancer.Ingress = []core.LoadBalancerIngress{{IP: pods.Items[0].Status.PodIP}}
			if _, err := n.client.CoreV1().Services(service.Namespace).UpdateStatus(ctx, &service, meta.UpdateOptions{}); err == nil {
				log.Printf("service %s/%s has the address %s", service.Namespace, service.Name, pods.Items[0].Status.PodIP)
			}
		}
	}
}
