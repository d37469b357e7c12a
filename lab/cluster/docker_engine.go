package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"

	"github.com/docker/docker/client"
	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"
)

// containerLogger hands testcontainers' messages to slog, at debug level: what
// the driver does is logged by the driver.
type containerLogger struct{ logger *slog.Logger }

func (l containerLogger) Printf(format string, args ...any) {
	l.logger.Debug(strings.TrimSpace(fmt.Sprintf(format, args...)), "from", "testcontainers")
}

var testcontainersOnce sync.Once

// prepareTestcontainers silences testcontainers, and turns its reaper off where
// the reaper's image is absent, before its first use: it reads its settings once.
// Sweep finds by labels what a killed lab leaves, with or without a reaper.
func prepareTestcontainers(ctx context.Context, cli *client.Client, logger *slog.Logger) error {
	var err error
	testcontainersOnce.Do(func() {
		tclog.SetDefault(containerLogger{logger})
		const variable = "TESTCONTAINERS_RYUK_DISABLED"
		if os.Getenv(variable) != "" {
			return
		}
		//lint:ignore SA1019 the image's name is published nowhere else
		reaper := testcontainers.ReaperDefaultImage
		// An engine too busy to answer counts as one without the image: a pull could hang.
		if _, inspectErr := cli.ImageInspect(ctx, reaper); inspectErr != nil {
			err = os.Setenv(variable, "true")
			logger.Debug("reaper is off: its image is absent", "image", reaper, "answer", inspectErr)
		}
	})
	if err != nil {
		return fmt.Errorf("cluster: turn the reaper off: %w", err)
	}
	return nil
}
