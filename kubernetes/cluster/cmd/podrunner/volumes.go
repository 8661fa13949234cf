package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// mount writes the container's Secret and ConfigMap volumes to files. A process here has no file system of its own, so
// the replacer points at those files wherever a text names a mount path: variables, arguments, and the ConfigMaps too.
func (n *node) mount(object *core.Pod, container core.Container) (*strings.Replacer, error) {
	ctx := context.Background()
	folder := func(volume string) string { return filepath.Join(n.folder, string(object.UID), volume) }
	pairs := []string{}
	for _, mount := range container.VolumeMounts {
		pairs = append(pairs, mount.MountPath+"/", folder(mount.Name)+"/")
	}
	for _, pair := range replacements {
		pairs = append(pairs, pair.old, pair.new)
	}
	replacer := strings.NewReplacer(pairs...)
	for _, volume := range object.Spec.Volumes {
		files := map[string][]byte{}
		var items []core.KeyToPath
		switch {
		case volume.Secret != nil:
			secret, err := n.client.CoreV1().Secrets(object.Namespace).Get(ctx, volume.Secret.SecretName, meta.GetOptions{})
			if err != nil {
				return nil, err
			}
			files, items = secret.Data, volume.Secret.Items
		case volume.ConfigMap != nil:
			configMap, err := n.client.CoreV1().ConfigMaps(object.Namespace).Get(ctx, volume.ConfigMap.Name, meta.GetOptions{})
			if err != nil {
				return nil, err
			}
			for name, text := range configMap.Data {
				files[name] = []byte(replacer.Replace(text))
			}
			items = volume.ConfigMap.Items
		default:
			continue
		}
		if items == nil {
			for name := range files {
				items = append(items, core.KeyToPath{Key: name, Path: name})
			}
		}
		for _, item := range items {
			path := filepath.Join(folder(volume.Name), item.Path)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				return nil, err
			}
			if err := os.WriteFile(path, files[item.Key], 0o600); err != nil {
				return nil, err
			}
		}
	}
	return replacer, nil
}
