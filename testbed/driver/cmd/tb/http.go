package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// get is here because Debian's static busybox has no wget that works.
func get(args []string) error {
	plain, options, err := split(args)
	if err != nil {
		return err
	}
	url, err := one(plain, "URL")
	if err != nil {
		return err
	}
	transport := &http.Transport{Proxy: nil}
	if ca := options["ca"]; ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return fmt.Errorf("%s: no certificate in it", ca)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if file := options["token"]; file != "" {
		token, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(os.Stdout, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		fmt.Fprintln(os.Stderr, resp.Status)
		return exitCode(22) // as curl --fail
	}
	return nil
}

func serve(args []string) error {
	plain, options, err := split(args)
	if err != nil {
		return err
	}
	address, err := one(plain, "ADDRESS")
	if err != nil {
		return err
	}
	text := options["text"]
	if text == "" {
		text = "served"
	}
	server := &http.Server{
		Addr:              address,
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Printf("%s %s\n", r.Method, r.URL)
			fmt.Fprintln(w, text)
		}),
	}
	return server.ListenAndServe()
}
