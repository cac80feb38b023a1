// Package static is the built-in application that serves the files of a folder.
//
// # Promises
//
//   - Nothing outside of the folder is served, whatever the path and wherever the
//     symbolic links in it lead (os.Root). Links that stay inside are followed.
//   - Only regular files are served: no pipe and no device can make it wait. No
//     listing of a folder is ever shown; its index.html stands for it.
//   - What begins with a dot is not there, on every level of the path, but for
//     /.well-known (RFC 8615).
//   - GET and HEAD; ranges; ETag and Last-Modified with all conditions, by
//     http.ServeContent. An ETag is made of size and time of change.
//   - The folder is opened once. If its path leads to another one later (a link
//     that a deployment moves), a reload serves that one, and until then every
//     answer comes from the old one.
//
// # Not promised
//
// No compression, no caching in memory, no uploads, no error pages. A file that is
// overwritten while it is sent reaches the client as a mixture; deployments should
// rename.
//
// It owns no goroutine. A Site may be used by any number of them.
package static
