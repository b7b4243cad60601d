// Metrics serves the resource metrics API (metrics.k8s.io/v1beta1) of the testbed: what each pod and node uses, as the
// kubelets measured it. A HorizontalPodAutoscaler and `kubectl top` ask it through the API server, which proxies to it.
package main

import (
	"encoding/json"
	"flag"
	"log"
	"net/http"
	"os"
	"strings"
)

const prefix = "/apis/metrics.k8s.io/v1beta1"

func main() {
	listen := flag.String("listen", ":4443", "address to serve at")
	kubeconfig := flag.String("kubeconfig", "", "kubeconfig in JSON with a token and a certificate authority (required)")
	flag.Parse()
	cluster, err := openCluster(*kubeconfig)
	if err != nil {
		log.Fatalf("metrics: %v", err)
	}
	certificate, err := selfSigned()
	if err != nil {
		log.Fatalf("metrics: %v", err)
	}
	server := &http.Server{Addr: *listen, Handler: routes(cluster), TLSConfig: certificate}
	log.Fatal(server.ListenAndServeTLS("", ""))
}

func routes(c *cluster) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+prefix, func(w http.ResponseWriter, _ *http.Request) { reply(w, resources(), nil) })
	mux.HandleFunc("GET "+prefix+"/nodes", func(w http.ResponseWriter, r *http.Request) {
		items, err := c.nodeMetrics(r.URL.Query().Get("labelSelector"))
		reply(w, listOf("NodeMetricsList", items), err)
	})
	mux.HandleFunc("GET "+prefix+"/nodes/{name}", func(w http.ResponseWriter, r *http.Request) {
		items, err := c.nodeMetrics("")
		replyOne(w, items, r.PathValue("name"), err)
	})
	pods := func(w http.ResponseWriter, r *http.Request) {
		items, err := c.podMetrics(r.PathValue("namespace"), r.URL.Query().Get("labelSelector"))
		reply(w, listOf("PodMetricsList", items), err)
	}
	mux.HandleFunc("GET "+prefix+"/pods", pods)
	mux.HandleFunc("GET "+prefix+"/namespaces/{namespace}/pods", pods)
	mux.HandleFunc("GET "+prefix+"/namespaces/{namespace}/pods/{name}", func(w http.ResponseWriter, r *http.Request) {
		items, err := c.podMetrics(r.PathValue("namespace"), "")
		replyOne(w, items, r.PathValue("name"), err)
	})
	return mux
}

func resources() map[string]any {
	verbs := []string{"get", "list"}
	return map[string]any{
		"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "metrics.k8s.io/v1beta1",
		"resources": []map[string]any{
			{"name": "nodes", "singularName": "", "namespaced": false, "kind": "NodeMetrics", "verbs": verbs},
			{"name": "pods", "singularName": "", "namespaced": true, "kind": "PodMetrics", "verbs": verbs},
		},
	}
}

func listOf(kind string, items []usage) map[string]any {
	return map[string]any{"kind": kind, "apiVersion": "metrics.k8s.io/v1beta1", "metadata": map[string]any{}, "items": items}
}

func replyOne(w http.ResponseWriter, items []usage, name string, err error) {
	for _, item := range items {
		if item.Metadata.Name == name {
			reply(w, item, nil)
			return
		}
	}
	if err == nil {
		refuse(w, http.StatusNotFound, "NotFound", "no metrics of "+name+" yet")
		return
	}
	reply(w, nil, err)
}

func reply(w http.ResponseWriter, content any, err error) {
	if err != nil {
		refuse(w, http.StatusInternalServerError, "InternalError", err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(content)
}

// refuse answers as Kubernetes does, so that its clients print the message.
func refuse(w http.ResponseWriter, code int, reason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message,
	})
}

// readKubeconfig takes the server, the token and the authority's file; the testbed writes nothing else into it.
func readKubeconfig(path string) (server, token, authority string, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", "", "", err
	}
	var config struct {
		Clusters []struct {
			Cluster struct {
				Server    string `json:"server"`
				Authority string `json:"certificate-authority"`
			} `json:"cluster"`
		} `json:"clusters"`
		Users []struct {
			User struct {
				Token string `json:"token"`
			} `json:"user"`
		} `json:"users"`
	}
	if err := json.Unmarshal(content, &config); err != nil || len(config.Clusters) == 0 || len(config.Users) == 0 {
		return "", "", "", errorf("%s is not the testbed's kubeconfig: %v", path, err)
	}
	cluster := config.Clusters[0].Cluster
	return strings.TrimSuffix(cluster.Server, "/"), config.Users[0].User.Token, cluster.Authority, nil
}
