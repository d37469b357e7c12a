package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

// Sweep removes what killed labs have left behind: containers, networks,
// volumes and old images of the docker driver; processes, namespaces, bridges
// and directories of the local driver; scratch directories. Runs whose lab
// still lives are left alone, unless force is set. It returns how many things
// it removed. An engine that doesn't answer is a warning.
func Sweep(ctx context.Context, logger *slog.Logger, force bool) (int, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	removedLocal, localErr := sweepLocal(ctx, logger, force)
	removedDocker, dockerErr := sweepEngine(ctx, logger, force)
	removedScratch, scratchErr := sweepScratch(logger, force)
	removed := removedLocal + removedDocker + removedScratch
	if err := errors.Join(localErr, dockerErr, scratchErr); err != nil {
		return removed, fmt.Errorf("sweep: %w", err)
	}
	return removed, nil
}

// sweepEngine is sweepDocker where there may be no engine.
func sweepEngine(ctx context.Context, logger *slog.Logger, force bool) (int, error) {
	removed, err := sweepDocker(ctx, logger, force)
	if errors.Is(err, ErrNoEngine) {
		logger.Warn("no containers were looked for", "why", err)
		return removed, nil
	}
	return removed, err
}
