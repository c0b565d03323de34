//! For sockets that address their peers: a message was refused because its receiver is full. It is
//! worth another try when that peer has room or has left, not when any peer has room.

const Pipe = @import("../core/pipe.zig").Pipe;

pub const Refusals = struct {
    /// A message was refused (`Pipe.refused`), and its peer is still full.
    pending: bool = false,

    pub fn refuse(refusals: *Refusals, pipe: *Pipe) error{WouldBlock} {
        pipe.refused = true;
        refusals.pending = true;
        return error.WouldBlock;
    }

    /// The pipe has room again, or is gone: whoever waited for it is told.
    pub fn reopen(refusals: *Refusals, pipe: *Pipe) void {
        if (!pipe.refused) return;
        pipe.refused = false;
        refusals.pending = false;
    }
};
