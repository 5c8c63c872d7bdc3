module ctrlmesh/bench

go 1.26
