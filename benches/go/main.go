// Times franz-go's kmsg on the messages that the Rust program has written.
//
// Usage: program DIR MILLISECONDS [CASE]...
//
// DIR holds cases.tsv and a file of bytes for each case. A line is printed for each figure: time,
// case, operation, contestant, nanoseconds.
package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const contestant = "franz-go"

// A message can be read and written; UnsafeReadFrom lets strings share the frame.
type message interface {
	SetVersion(int16)
	AppendTo([]byte) []byte
	ReadFrom([]byte) error
	UnsafeReadFrom([]byte) error
}

var messages = map[string]func() message{
	"FetchRequest":           func() message { return kmsg.NewPtrFetchRequest() },
	"FetchResponse":          func() message { return kmsg.NewPtrFetchResponse() },
	"MetadataResponse":       func() message { return kmsg.NewPtrMetadataResponse() },
	"VoteRequest":            func() message { return kmsg.NewPtrVoteRequest() },
	"ProduceRequest":         func() message { return kmsg.NewPtrProduceRequest() },
	"ApiVersionsResponse":    func() message { return kmsg.NewPtrApiVersionsResponse() },
	"ListOffsetsRequest":     func() message { return kmsg.NewPtrListOffsetsRequest() },
	"OffsetCommitRequest":    func() message { return kmsg.NewPtrOffsetCommitRequest() },
	"CreateTopicsRequest":    func() message { return kmsg.NewPtrCreateTopicsRequest() },
	"JoinGroupResponse":      func() message { return kmsg.NewPtrJoinGroupResponse() },
	"DescribeQuorumResponse": func() message { return kmsg.NewPtrDescribeQuorumResponse() },
}

// Results go here, so that no work can be left out.
var sink any
var sinkBytes []byte

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) < 2 {
		return fmt.Errorf("usage: DIR MILLISECONDS [CASE]...")
	}
	dir, wanted := arguments[0], arguments[2:]
	millis, err := strconv.Atoi(arguments[1])
	if err != nil {
		return err
	}
	most := time.Duration(millis) * time.Millisecond
	table, err := os.ReadFile(filepath.Join(dir, "cases.tsv"))
	if err != nil {
		return err
	}
	for _, line := range strings.Split(strings.TrimSpace(string(table)), "\n") {
		columns := strings.Split(line, "\t")
		id, name := columns[0], columns[1]
		if len(wanted) > 0 && !slices.Contains(wanted, id) {
			continue
		}
		version, err := strconv.ParseInt(columns[2], 10, 16)
		if err != nil {
			return err
		}
		frame, err := os.ReadFile(filepath.Join(dir, id+".bin"))
		if err != nil {
			return err
		}
		// kmsg has no records of the metadata log.
		if create, ok := messages[name]; ok {
			if err := contest(id, create, int16(version), frame, most); err != nil {
				return fmt.Errorf("%s v%d: %w", name, version, err)
			}
		}
	}
	return nil
}

func contest(id string, create func() message, version int16, frame []byte, most time.Duration) error {
	value := create()
	value.SetVersion(version)
	if err := value.ReadFrom(frame); err != nil {
		return err
	}
	if !bytes.Equal(value.AppendTo(nil), frame) {
		return fmt.Errorf("the bytes differ")
	}
	buffer := make([]byte, 0, len(frame))
	report := func(operation string, call func()) {
		fmt.Printf("time\t%s\t%s\t%s\t%.1f\n", id, operation, contestant, least(call, most))
	}
	report("encode", func() {
		buffer = value.AppendTo(buffer[:0])
		sinkBytes = buffer
	})
	report("encode-fresh", func() { sinkBytes = value.AppendTo(nil) })
	var failed error
	report("decode", func() {
		decoded := create()
		decoded.SetVersion(version)
		if err := decoded.UnsafeReadFrom(frame); err != nil {
			failed = err
		}
		sink = decoded
	})
	report("decode-static", func() {
		decoded := create()
		decoded.SetVersion(version)
		if err := decoded.ReadFrom(frame); err != nil {
			failed = err
		}
		sink = decoded
	})
	return failed
}

// How long a batch of calls takes at least, as in the Rust program: what interrupts the process now and
// then must leave some batches alone.
const batch = 500 * time.Microsecond

// The least nanoseconds of a call over many batches.
func least(call func(), most time.Duration) float64 {
	turns := 1
	for timed(call, turns) < batch {
		turns *= 2
	}
	least := time.Duration(math.MaxInt64)
	for begin := time.Now(); time.Since(begin) < most; {
		least = min(least, timed(call, turns))
	}
	return float64(least.Nanoseconds()) / float64(turns)
}

func timed(call func(), turns int) time.Duration {
	start := time.Now()
	for range turns {
		call()
	}
	return time.Since(start)
}
