module ctrlmesh.local/probe

go 1.26
