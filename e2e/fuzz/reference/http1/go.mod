module ctrlmesh.local/fuzz/http1

go 1.26
