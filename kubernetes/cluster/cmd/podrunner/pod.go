package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// pod is what runs for one Pod of the API server.
type pod struct {
	namespace, name string
	number          int
	address         string
	process         *exec.Cmd
	stopped         bool
	mutex           sync.Mutex
	lines           []line
}

type line struct {
	at   time.Time
	text string
}

func (n *node) run(running *pod, object *core.Pod) {
	container := object.Spec.Containers[0]
	for previous := ""; ; {
		err := n.start(running, object, container)
		if err == nil {
			break
		}
		if previous != err.Error() {
			previous = err.Error()
			log.Printf("%s/%s waits: %v", object.Namespace, object.Name, err)
		}
		time.Sleep(200 * time.Millisecond)
		running.mutex.Lock()
		stopped := running.stopped
		running.mutex.Unlock()
		if stopped {
			return
		}
	}
	if err := n.reportReady(running, object); err != nil {
		log.Printf("status of %s/%s: %v", object.Namespace, object.Name, err)
		return
	}
	log.Printf("%s/%s is ready at %s (%s)", object.Namespace, object.Name, running.address, container.Image)
}

func (n *node) start(running *pod, object *core.Pod, container core.Container) error {
	repository := container.Image
	if slash := strings.LastIndex(repository, "/"); slash >= 0 {
		repository = repository[slash+1:]
	}
	repository, _, _ = strings.Cut(repository, ":")
	executable, known := executables[repository]
	if !known {
		return nil
	}
	mounts, err := n.mount(object, container)
	if err != nil {
		return err
	}
	environment, expansions := []string{"PATH=/usr/bin:/bin"}, []string{}
	for _, variable := range container.Env {
		value := variable.Value
		if source := variable.ValueFrom; source != nil && source.FieldRef != nil {
			switch source.FieldRef.FieldPath {
			case "metadata.name":
				value = object.Name
			case "metadata.namespace":
				value = object.Namespace
			case "status.podIP":
				value = running.address
			}
		}
		value = mounts.Replace(value)
		environment = append(environment, variable.Name+"="+value)
		expansions = append(expansions, "$("+variable.Name+")", value)
	}
	expand := strings.NewReplacer(expansions...)
	arguments := make([]string, len(container.Args))
	for i, argument := range container.Args {
		arguments[i] = expand.Replace(mounts.Replace(argument))
	}
	process := exec.Command(executable, arguments...)
	process.Env = environment
	process.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	reader, writer := io.Pipe()
	process.Stdout, process.Stderr = writer, writer
	running.mutex.Lock()
	defer running.mutex.Unlock()
	if running.stopped {
		return nil
	}
	if err := process.Start(); err != nil {
		return err
	}
	running.process = process
	go running.collect(reader)
	go func() {
		err := process.Wait()
		writer.Close()
		running.mutex.Lock()
		defer running.mutex.Unlock()
		if !running.stopped {
			log.Printf("%s/%s ended: %v", object.Namespace, object.Name, err)
		}
	}()
	return running.attach()
}

// attach gives the process's network namespace the pod's address on the bridge.
func (p *pod) attach() error {
	host := fmt.Sprintf("pod%d", p.number)
	process := fmt.Sprint(p.process.Process.Pid)
	for _, command := range [][]string{
		{"ip", "link", "add", host, "type", "veth", "peer", "name", "eth0", "netns", process},
		{"ip", "link", "set", host, "master", *bridge, "up"},
		{"nsenter", "-t", process, "-n", "ip", "link", "set", "lo", "up"},
		{"nsenter", "-t", process, "-n", "ip", "address", "add", p.address + "/16", "dev", "eth0"},
		{"nsenter", "-t", process, "-n", "ip", "link", "set", "eth0", "up"},
		{"nsenter", "-t", process, "-n", "ip", "route", "add", "default", "via", *network + ".0.1"},
	} {
		if output, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			p.process.Process.Kill()
			return fmt.Errorf("%s: %v: %s", strings.Join(command, " "), err, output)
		}
	}
	return nil
}

func (p *pod) collect(reader io.Reader) {
	scanner := bufio.NewScanner(reader)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		p.mutex.Lock()
		p.lines = append(p.lines, line{time.Now(), scanner.Text()})
		p.mutex.Unlock()
	}
}

func (n *node) reportReady(running *pod, object *core.Pod) error {
	now := meta.Now()
	status := core.PodStatus{
		Phase: core.PodRunning, HostIP: *network + ".0.1", PodIP: running.address,
		HostIPs: []core.HostIP{{IP: *network + ".0.1"}}, PodIPs: []core.PodIP{{IP: running.address}},
		StartTime: &now, QOSClass: object.Status.QOSClass,
	}
	for _, kind := range []core.PodConditionType{core.PodScheduled, core.PodInitialized, core.ContainersReady, core.PodReady} {
		status.Conditions = append(status.Conditions, core.PodCondition{Type: kind, Status: core.ConditionTrue, LastTransitionTime: now})
	}
	for _, container := range object.Spec.Containers {
		started := true
		status.ContainerStatuses = append(status.ContainerStatuses, core.ContainerStatus{
			Name: container.Name, Image: container.Image, ImageID: "podrunner://" + container.Image, ContainerID: "podrunner://" + string(object.UID),
			Ready: true, Started: &started, State: core.ContainerState{Running: &core.ContainerStateRunning{StartedAt: now}},
		})
	}
	for attempt := 0; ; attempt++ {
		current, err := n.client.CoreV1().Pods(object.Namespace).Get(context.Background(), object.Name, meta.GetOptions{})
		if err != nil || current.UID != object.UID {
			return err
		}
		current.Status = status
		_, err = n.client.CoreV1().Pods(object.Namespace).UpdateStatus(context.Background(), current, meta.UpdateOptions{})
		if err == nil || attempt == 5 || !errors.IsConflict(err) {
			return err
		}
	}
}
