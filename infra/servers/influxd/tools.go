//go:build tools

// Package tools holds the programs that the stack builds from Go modules: this file keeps them in go.mod and go.sum.
package tools

import (
	_ "github.com/influxdata/influxdb/v2/cmd/influxd"
	_ "github.com/influxdata/pkg-config"
)
