package tree

// slab keeps values in chunks that never move, so that growing copies nothing. A value
// is named by a number from 1 on; the number of one that was released is used again.
type slab[T any] struct {
	chunks []*[chunkLen]T
	used   uint32 // numbers ever used
	free   []uint32
}

func (s *slab[T]) at(i uint32) *T { return &s.chunks[i>>chunkBits][i&(chunkLen-1)] }

// alloc returns the number of a zero value.
func (s *slab[T]) alloc() uint32 {
	if last := len(s.free) - 1; last >= 0 {
		i := s.free[last]
		s.free = s.free[:last]
		return i
	}
	s.used++
	if s.used == 0 {
		panic("tree: a slab has more than 4 billion values")
	}
	if int(s.used>>chunkBits) == len(s.chunks) {
		s.chunks = append(s.chunks, new([chunkLen]T))
	}
	return s.used
}

func (s *slab[T]) release(i uint32) {
	var zero T
	*s.at(i) = zero
	s.free = append(s.free, i)
}
