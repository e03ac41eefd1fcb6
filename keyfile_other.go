//go:build !unix

package kalshi

import "os"

// keepOwnerAndMode does nothing: a new file gets its rights from the folder.
func keepOwnerAndMode(*os.File, os.FileInfo) error { return nil }
