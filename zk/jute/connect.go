package jute

// ReadOnlyConnectRequest is a ConnectRequest with the byte that clients since 3.4 add
// behind it: whether a server without a quorum would do.
type ReadOnlyConnectRequest struct {
	ConnectRequest
	HasReadOnly bool // the client sent the byte; the answer must then have it too
	ReadOnly    bool
}

// Append adds the request's wire form to b.
func (r *ReadOnlyConnectRequest) Append(b []byte) []byte {
	return appendOptionalBool(r.ConnectRequest.Append(b), r.HasReadOnly, r.ReadOnly)
}

// Decode reads the request in either form.
func (r *ReadOnlyConnectRequest) Decode(d *Decoder) {
	r.ConnectRequest.Decode(d)
	r.HasReadOnly, r.ReadOnly = decodeOptionalBool(d)
}

// ReadOnlyConnectResponse is the answer, in the form of the request.
type ReadOnlyConnectResponse struct {
	ConnectResponse
	HasReadOnly bool
	ReadOnly    bool // the server has no quorum and answers reads only
}

// Append adds the response's wire form to b.
func (r *ReadOnlyConnectResponse) Append(b []byte) []byte {
	return appendOptionalBool(r.ConnectResponse.Append(b), r.HasReadOnly, r.ReadOnly)
}

// Decode reads the response in either form.
func (r *ReadOnlyConnectResponse) Decode(d *Decoder) {
	r.ConnectResponse.Decode(d)
	r.HasReadOnly, r.ReadOnly = decodeOptionalBool(d)
}

func appendOptionalBool(b []byte, has, v bool) []byte {
	if has {
		b = AppendBool(b, v)
	}
	return b
}

func decodeOptionalBool(d *Decoder) (has, v bool) {
	if d.err == nil && d.Len() > 0 {
		return true, d.Bool()
	}
	return false, false
}
