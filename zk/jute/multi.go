package jute

// MultiOp is one part of a multi or of its answer: an operation with its record.
// In an answer that failed, Type is OpError and Err the part's code.
type MultiOp struct {
	Type   OpCode
	Err    ErrorCode
	Record Record // nil where the part has no body (the answers to delete and check)
}

// MultiRequest is the body of a multi or multiRead request: parts, each behind a
// MultiHeader, and a last header that says done.
type MultiRequest struct{ Ops []MultiOp }

// MultiResponse is the body of the answer, in the same frame of headers.
type MultiResponse struct{ Results []MultiOp }

// multiRequestRecord returns an empty request record for the operations that may stand in a multi.
func multiRequestRecord(op OpCode) Record {
	switch op {
	case OpCreate, OpCreate2, OpCreateContainer:
		return new(CreateRequest)
	case OpCreateTTL:
		return new(CreateTTLRequest)
	case OpDelete:
		return new(DeleteRequest)
	case OpSetData:
		return new(SetDataRequest)
	case OpCheck:
		return new(CheckVersionRequest)
	case OpGetData:
		return new(GetDataRequest)
	case OpGetChildren:
		return new(GetChildrenRequest)
	}
	return nil
}

// Append adds the request's wire form to b.
func (r *MultiRequest) Append(b []byte) []byte { return appendMulti(b, r.Ops, -1) }

// Decode reads the request; an operation that can't be part of a multi is an error.
func (r *MultiRequest) Decode(d *Decoder) {
	r.Ops = decodeMulti(d, func(h MultiHeader) (Record, bool) {
		rec := multiRequestRecord(h.Type)
		return rec, rec != nil
	})
}

// Append adds the answer's wire form to b.
func (r *MultiResponse) Append(b []byte) []byte { return appendMulti(b, r.Results, 0) }

// Decode reads the answer.
func (r *MultiResponse) Decode(d *Decoder) {
	r.Results = decodeMulti(d, func(h MultiHeader) (Record, bool) {
		switch h.Type {
		case OpError:
			return new(ErrorResponse), true
		case OpCreate:
			return new(CreateResponse), true
		case OpCreate2, OpCreateContainer, OpCreateTTL:
			return new(Create2Response), true
		case OpSetData:
			return new(SetDataResponse), true
		case OpGetData:
			return new(GetDataResponse), true
		case OpGetChildren:
			return new(GetChildrenResponse), true
		case OpDelete, OpCheck:
			return nil, true
		}
		return nil, false
	})
}

// appendMulti writes the parts. Requests carry err -1 in every header; answers carry the part's code.
func appendMulti(b []byte, ops []MultiOp, requestErr ErrorCode) []byte {
	for _, op := range ops {
		h := MultiHeader{Type: op.Type, Err: op.Err}
		if requestErr != 0 {
			h.Err = requestErr
		}
		b = h.Append(b)
		if op.Record != nil {
			b = op.Record.Append(b)
		}
	}
	last := MultiHeader{Type: OpError, Done: true, Err: -1}
	return last.Append(b)
}

func decodeMulti(d *Decoder, record func(MultiHeader) (Record, bool)) []MultiOp {
	var ops []MultiOp
	for {
		var h MultiHeader
		h.Decode(d)
		if d.err != nil || h.Done {
			return ops
		}
		rec, known := record(h)
		if !known {
			d.fail("%v can't be part of a multi", h.Type)
			return nil
		}
		if rec != nil {
			rec.Decode(d)
		}
		ops = append(ops, MultiOp{Type: h.Type, Err: h.Err, Record: rec})
	}
}
