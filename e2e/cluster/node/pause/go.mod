module ctrlmesh.local/pause

go 1.26
