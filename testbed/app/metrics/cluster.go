package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"time"
)

var errorf = fmt.Errorf

// cluster asks the API server: for pods and nodes, and, through it, the kubelets for what they measured.
type cluster struct {
	server, token string
	client        *http.Client
}

// usage is a NodeMetrics or a PodMetrics.
type usage struct {
	Kind       string            `json:"kind"`
	APIVersion string            `json:"apiVersion"`
	Metadata   metadata          `json:"metadata"`
	Timestamp  string            `json:"timestamp"`
	Window     string            `json:"window"`
	Usage      map[string]string `json:"usage,omitempty"`
	Containers []containerUsage  `json:"containers,omitempty"`
}

type containerUsage struct {
	Name  string            `json:"name"`
	Usage map[string]string `json:"usage"`
}

type metadata struct {
	Name              string            `json:"name"`
	Namespace         string            `json:"namespace,omitempty"`
	Labels            map[string]string `json:"labels,omitempty"`
	CreationTimestamp string            `json:"creationTimestamp,omitempty"`
}

// measured is one part of a kubelet's summary; a pod that has just started has no CPU rate yet.
type measured struct {
	CPU struct {
		Time           string  `json:"time"`
		UsageNanoCores *uint64 `json:"usageNanoCores"`
	} `json:"cpu"`
	Memory struct {
		WorkingSetBytes *uint64 `json:"workingSetBytes"`
	} `json:"memory"`
}

type summary struct {
	Node measured `json:"node"`
	Pods []struct {
		PodRef     struct{ Name, Namespace, UID string }
		Containers []struct {
			Name string `json:"name"`
			measured
		} `json:"containers"`
	} `json:"pods"`
}

type objects struct {
	Items []struct {
		Metadata struct {
			metadata
			UID string `json:"uid"`
		} `json:"metadata"`
	} `json:"items"`
}

func openCluster(kubeconfig string) (*cluster, error) {
	server, token, authority, err := readKubeconfig(kubeconfig)
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(authority)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	return &cluster{server: server, token: token, client: &http.Client{Timeout: 10 * time.Second, Transport: transport}}, nil
}

func (c *cluster) get(path string, into any) error {
	request, err := http.NewRequest(http.MethodGet, c.server+path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	response, err := c.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 500))
		return errorf("%s: %s: %s", path, response.Status, text)
	}
	return json.NewDecoder(response.Body).Decode(into)
}

func (c *cluster) nodeMetrics(selector string) ([]usage, error) {
	var nodes objects
	if err := c.get("/api/v1/nodes?labelSelector="+url.QueryEscape(selector), &nodes); err != nil {
		return nil, err
	}
	items := []usage{}
	for _, node := range nodes.Items {
		var found summary
		// A node that does not answer has no metrics; the others do.
		if err := c.get("/api/v1/nodes/"+node.Metadata.Name+"/proxy/stats/summary", &found); err != nil {
			continue
		}
		if amounts, ok := found.Node.amounts(); ok {
			items = append(items, newUsage("NodeMetrics", node.Metadata.metadata, found.Node.CPU.Time, amounts, nil))
		}
	}
	return items, nil
}

func (c *cluster) podMetrics(namespace, selector string) ([]usage, error) {
	path := "/api/v1/pods"
	if namespace != "" {
		path = "/api/v1/namespaces/" + url.PathEscape(namespace) + "/pods"
	}
	var pods, nodes objects
	if err := c.get(path+"?labelSelector="+url.QueryEscape(selector), &pods); err != nil {
		return nil, err
	}
	if err := c.get("/api/v1/nodes", &nodes); err != nil {
		return nil, err
	}
	wanted := map[string]metadata{}
	for _, pod := range pods.Items {
		wanted[pod.Metadata.UID] = pod.Metadata.metadata
	}
	items := []usage{}
	for _, node := range nodes.Items {
		var found summary
		if err := c.get("/api/v1/nodes/"+node.Metadata.Name+"/proxy/stats/summary", &found); err != nil {
			continue
		}
		items = append(items, found.ofPods(wanted)...)
	}
	return items, nil
}

// ofPods leaves out a pod of which a container has no figures yet: half a pod would look like an idle one.
func (s summary) ofPods(wanted map[string]metadata) []usage {
	items := []usage{}
	for _, pod := range s.Pods {
		meta, ok := wanted[pod.PodRef.UID]
		containers := []containerUsage{}
		measuredAt := ""
		for _, container := range pod.Containers {
			amounts, complete := container.amounts()
			ok = ok && complete
			containers = append(containers, containerUsage{container.Name, amounts})
			measuredAt = container.CPU.Time
		}
		if ok && len(containers) > 0 {
			items = append(items, newUsage("PodMetrics", meta, measuredAt, nil, containers))
		}
	}
	return items
}

func newUsage(kind string, meta metadata, at string, amounts map[string]string, containers []containerUsage) usage {
	meta.CreationTimestamp = at
	return usage{kind, "metrics.k8s.io/v1beta1", meta, at, "10s", amounts, containers}
}

func (m measured) amounts() (map[string]string, bool) {
	if m.CPU.UsageNanoCores == nil || m.Memory.WorkingSetBytes == nil {
		return nil, false
	}
	return map[string]string{
		"cpu":    fmt.Sprintf("%dn", *m.CPU.UsageNanoCores),
		"memory": fmt.Sprintf("%dKi", *m.Memory.WorkingSetBytes/1024),
	}, true
}

// selfSigned makes a certificate that lives as long as the process: the API server is told not to check it.
func selfSigned() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "metrics.kube-system.svc"},
		DNSNames:     []string{"metrics.kube-system.svc"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, nil
}
