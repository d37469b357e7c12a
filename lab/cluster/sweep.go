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
	return sweep(ctx, logger, force, func(ctx context.Context, logger *slog.Logger) (int, error) {
		removed, err := sweepDocker(ctx, logger, force)
		if err != nil {
			return removed, err
		}
		images, err := sweepImages(ctx, logger)
		return removed + images, err
	})
}

// SweepRuns is Sweep before a run of a driver, which shall not share the machine
// with members of labs that were killed. It leaves images, which others may be about
// to use, and runs of labs that still live.
func SweepRuns(ctx context.Context, logger *slog.Logger, driver string) (int, error) {
	return sweep(ctx, logger, false, func(ctx context.Context, logger *slog.Logger) (int, error) {
		if driver == DriverLocal {
			return 0, nil
		}
		return sweepDocker(ctx, logger, false)
	})
}

func sweep(ctx context.Context, logger *slog.Logger, force bool, engine func(context.Context, *slog.Logger) (int, error)) (int, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	removedLocal, localErr := sweepLocal(ctx, logger, force)
	removedDocker, dockerErr := engine(ctx, logger)
	if errors.Is(dockerErr, ErrNoEngine) {
		logger.Warn("no containers were looked for", "why", dockerErr)
		dockerErr = nil
	}
	removedScratch, scratchErr := sweepScratch(logger, force)
	removed := removedLocal + removedDocker + removedScratch
	if err := errors.Join(localErr, dockerErr, scratchErr); err != nil {
		return removed, fmt.Errorf("sweep: %w", err)
	}
	return removed, nil
}
